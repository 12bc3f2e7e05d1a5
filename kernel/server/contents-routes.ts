// REST: contents.

import type { FastifyInstance } from "fastify";
import type { Contents } from "./contents.js";
import type { SaveRequest } from "./contents-body.js";
import { HttpError } from "./errors.js";

interface AtPath {
	Params: { "*": string };
	Querystring: { content?: string; type?: string; format?: string };
	Body: Record<string, unknown> | null | undefined;
}

/** Adds the routes. */
export function addContentsRoutes(app: FastifyInstance, contents: Contents): void {
	for (const route of ["/api/contents", "/api/contents/*"]) {
		app.get<AtPath>(route, ({ params, query }) => {
			const { type, format, content } = query;
			return contents.get(params["*"] ?? "", {
				content: content !== "0",
				...(type === undefined ? {} : { type }),
				...(format === undefined ? {} : { format }),
			});
		});
		app.post<AtPath>(route, async ({ params, body }, reply) => {
			const model = await contents.create(params["*"] ?? "", body ?? {});
			return reply
				.code(201)
				.header("location", `/api/contents/${encodeURI(model.path)}`)
				.send(model);
		});
	}
	app.put<AtPath>("/api/contents/*", async ({ params, body }, reply) => {
		const { model, isNew } = await contents.save(params["*"], (body ?? {}) as SaveRequest);
		return reply.code(isNew ? 201 : 200).send(model);
	});
	app.patch<AtPath>("/api/contents/*", async ({ params, body }) => {
		if (typeof body?.path !== "string") {
			throw new HttpError(400, "ERR_OCTAVO_CONTENTS_PATH", "Expected a path to rename to but received none");
		}
		return await contents.rename(params["*"], body.path);
	});
	app.delete<AtPath>("/api/contents/*", async ({ params }, reply) => {
		await contents.remove(params["*"]);
		return reply.code(204).send();
	});
}
