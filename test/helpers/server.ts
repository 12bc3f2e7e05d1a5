// A server on a temporary folder for one test file, and raw requests to it that no client library has tidied.

import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { type IncomingHttpHeaders, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OctavoServer, type ServerOptions } from "../../kernel/server/server.js";

/** A server and the folder it serves. */
export interface TestServer {
	server: OctavoServer;
	root: string;
	/** Sends a request with the token; `body` goes as JSON. */
	call(method: string, path: string, body?: unknown): Promise<Answer>;
	/** Sends a request with exactly these headers. */
	raw(method: string, path: string, headers: Record<string, string>, body?: string): Promise<Answer>;
	/** Ends the server and removes the folder. */
	close(): Promise<void>;
}

/** An HTTP answer; `json` is undefined when the body is empty. */
export interface Answer {
	status: number;
	headers: IncomingHttpHeaders;
	// biome-ignore lint/suspicious/noExplicitAny: tests read what the answer should have.
	json: any;
	text: string;
}

/** Starts a server. */
export async function startTestServer(options: Partial<ServerOptions> = {}): Promise<TestServer> {
	const root = realpathSync(mkdtempSync(join(tmpdir(), "octavo-server-test-")));
	const server = await OctavoServer.start({ root, ...options });
	const { hostname, port } = new URL(server.url);
	const raw: TestServer["raw"] = (method, path, headers, body) =>
		new Promise((resolve, reject) => {
			const sent = request({ hostname, port, method, path, headers, agent: false }, (response) => {
				const chunks: Buffer[] = [];
				response.on("data", (chunk: Buffer) => chunks.push(chunk));
				response.on("end", () => {
					const text = Buffer.concat(chunks).toString("utf8");
					const isJson = /json/.test(response.headers["content-type"] ?? "");
					const json = isJson ? JSON.parse(text) : undefined;
					resolve({ status: response.statusCode ?? 0, headers: response.headers, json, text });
				});
			});
			sent.on("error", reject);
			sent.end(body);
		});
	return {
		server,
		root,
		raw,
		call(method, path, body) {
			const headers: Record<string, string> = { authorization: `token ${server.token}` };
			if (body !== undefined) headers["content-type"] = "application/json";
			return raw(method, path, headers, body === undefined ? undefined : JSON.stringify(body));
		},
		async close() {
			await server.close();
			rmSync(root, { recursive: true, force: true });
		},
	};
}
