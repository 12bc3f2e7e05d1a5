// REST: kernelspecs, kernels and sessions.

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { dirname, extname, join } from "node:path";
import type { FastifyInstance } from "fastify";
import { kernelName } from "../kernelspec.js";
import type { ContentsRoot } from "./contents-path.js";
import { HttpError } from "./errors.js";
import { type FoundKernelSpec, findKernelSpec, findKernelSpecs } from "./kernel-specs.js";
import type { KernelStore } from "./kernel-store.js";

type Body = Record<string, unknown> | null | undefined;

/** Adds the routes. */
export function addKernelRoutes(app: FastifyInstance, store: KernelStore, root: ContentsRoot): void {
	app.get("/api/kernelspecs", () => ({
		default: kernelName,
		kernelspecs: Object.fromEntries([...findKernelSpecs()].map(([name, found]) => [name, specModel(found)])),
	}));
	app.get<{ Params: { name: string } }>("/api/kernelspecs/:name", ({ params }) =>
		specModel(findKernelSpec(params.name)),
	);
	app.get<{ Params: { name: string; file: string } }>("/kernelspecs/:name/:file", ({ params }, reply) => {
		const { folder, resources } = findKernelSpec(params.name);
		if (!resources.includes(params.file)) {
			throw new HttpError(404, "ERR_OCTAVO_KERNEL_RESOURCE", `No such resource: ${JSON.stringify(params.file)}`);
		}
		return reply
			.type(mimeTypes[extname(params.file)] ?? "application/octet-stream")
			.send(createReadStream(join(folder, params.file)));
	});

	app.get("/api/kernels", () => store.models);
	app.post<{ Body: Body }>("/api/kernels", async ({ body }, reply) => {
		const kernel = await store.start(text(body?.name) ?? kernelName, await workingFolder(root, text(body?.path)));
		return reply.code(201).header("location", `/api/kernels/${kernel.id}`).send(kernel.model);
	});
	app.get<{ Params: { id: string } }>("/api/kernels/:id", ({ params }) => store.get(params.id).model);
	app.delete<{ Params: { id: string } }>("/api/kernels/:id", async ({ params }, reply) => {
		await store.shutdown(params.id);
		return reply.code(204).send();
	});
	app.post<{ Params: { id: string } }>("/api/kernels/:id/interrupt", async ({ params }, reply) => {
		await store.get(params.id).interrupt();
		return reply.code(204).send();
	});
	app.post<{ Params: { id: string } }>("/api/kernels/:id/restart", async ({ params }) => {
		const kernel = store.get(params.id);
		await kernel.restart();
		return kernel.model;
	});

	addSessionRoutes(app, store, root);
}

function addSessionRoutes(app: FastifyInstance, store: KernelStore, root: ContentsRoot): void {
	const kernelOf = async (body: Body, path: string): Promise<string | undefined> => {
		const kernel = body?.kernel as Body;
		const id = text(kernel?.id);
		if (id !== undefined) return store.get(id).id;
		const name = text(kernel?.name);
		return name === undefined ? undefined : (await store.start(name, await workingFolder(root, dirname(path)))).id;
	};
	app.get("/api/sessions", () => store.sessions);
	app.post<{ Body: Body }>("/api/sessions", async ({ body }, reply) => {
		const path = text(body?.path) ?? text((body?.notebook as Body)?.path);
		if (path === undefined)
			throw new HttpError(400, "ERR_OCTAVO_SESSION", "Expected a path for the session but received none");
		const known = store.sessionOfPath(path);
		if (known) return reply.code(201).send(known);
		const kernelId =
			(await kernelOf(body, path)) ?? (await store.start(kernelName, await workingFolder(root, dirname(path)))).id;
		// Two pages may open one notebook at once: the first to have a kernel wins.
		const meanwhile = store.sessionOfPath(path);
		if (meanwhile) {
			const isUsed = store.sessions.some((session) => session.kernel.id === kernelId);
			if (!isUsed && text((body?.kernel as Body)?.id) === undefined) await store.shutdown(kernelId);
			return reply.code(201).send(meanwhile);
		}
		const session = store.addSession({
			path,
			name: text(body?.name) ?? "",
			type: text(body?.type) ?? "notebook",
			kernelId,
		});
		return reply.code(201).header("location", `/api/sessions/${session.id}`).send(session);
	});
	app.get<{ Params: { id: string } }>("/api/sessions/:id", ({ params }) => store.session(params.id));
	app.patch<{ Params: { id: string }; Body: Body }>("/api/sessions/:id", async ({ params, body }) => {
		const before = store.session(params.id);
		const path = text(body?.path) ?? before.path;
		const kernelId = (await kernelOf(body, path)) ?? before.kernel.id;
		const changed = store.changeSession(params.id, {
			path,
			name: text(body?.name) ?? before.name,
			type: text(body?.type) ?? before.type,
			kernelId,
		});
		const isUsed = store.sessions.some((session) => session.kernel.id === before.kernel.id);
		if (!isUsed) await store.shutdown(before.kernel.id);
		return changed;
	});
	app.delete<{ Params: { id: string } }>("/api/sessions/:id", async ({ params }, reply) => {
		await store.shutdown(store.session(params.id).kernel.id);
		return reply.code(204).send();
	});
}

const mimeTypes: Partial<Record<string, string>> = {
	".svg": "image/svg+xml",
	".png": "image/png",
	".js": "text/javascript",
	".css": "text/css",
};

function specModel({ name, spec, resources }: FoundKernelSpec): object {
	const urls = resources.map((file) => [file.replace(/\.\w+$/, ""), `/kernelspecs/${name}/${file}`]);
	return { name, spec: { env: {}, ...spec }, resources: Object.fromEntries(urls) };
}

function text(value: unknown): string | undefined {
	return typeof value === "string" && value !== "" ? value : undefined;
}

// A notebook on another machine, or not saved yet, has no folder here: the root serves.
async function workingFolder(root: ContentsRoot, path: string | undefined): Promise<string> {
	if (path === undefined || path === ".") return root.folder;
	try {
		const folder = await root.resolve(path);
		return (await stat(folder)).isDirectory() ? folder : dirname(folder);
	} catch {
		return root.folder;
	}
}
