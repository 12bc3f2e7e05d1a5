// A server that Jupyter's clients take for a Jupyter Server: kernels, kernelspecs, sessions, contents and the kernels'
// WebSockets. It binds to loopback, needs its token for everything but its version, and ends what it started.

import { realpath, stat } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import fastify, { type FastifyInstance } from "fastify";
import { WebSocketServer } from "ws";
import { OctavoError } from "../../sdk/errors.js";
import { Access, makeToken } from "./access.js";
import { v1Protocol } from "./channel-codec.js";
import { Contents } from "./contents.js";
import { ContentsRoot } from "./contents-path.js";
import { addContentsRoutes } from "./contents-routes.js";
import { HttpError, refuseClient, sendError } from "./errors.js";
import { addKernelRoutes } from "./kernel-routes.js";
import { serveKernelSocket } from "./kernel-socket.js";
import { KernelStore } from "./kernel-store.js";

/** How a server is started. */
export interface ServerOptions {
	/** Folder that contents are below, and in which kernels start. */
	root: string;
	/** Port, 0 for any free one; default 0. */
	port?: number;
	/** Address to bind; default 127.0.0.1. */
	host?: string;
	/** Permits a `host` other than loopback; default false. Traffic is not encrypted. */
	allowRemote?: boolean;
	/** Secret that every request must carry; default a random one. */
	token?: string;
	/** Environment variables that kernels get beside the server's own; default none. */
	kernelEnv?: Record<string, string>;
	/** Takes lines about kernels and what their processes print; default: nothing is said. */
	log?: (text: string) => void;
}

/** Version of the Jupyter Server interface that this one follows. */
const interfaceVersion = "2.14.0";
const maxBodyBytes = 256 * 1024 * 1024;
/** Longest that a request may take to arrive, in milliseconds. */
const requestMs = 300_000;

/**
 * A running server.
 *
 * @example
 * ```ts
 * const server = await OctavoServer.start({ root: "notebooks" });
 * console.log(server.url, server.token);
 * await server.close();
 * ```
 */
export class OctavoServer {
	/** Address with a slash at the end: `http://127.0.0.1:8888/`. */
	readonly url: string;
	readonly token: string;
	readonly #app: FastifyInstance;
	readonly #sockets: WebSocketServer;
	readonly #store: KernelStore;

	private constructor(url: string, token: string, app: FastifyInstance, sockets: WebSocketServer, store: KernelStore) {
		this.url = url;
		this.token = token;
		this.#app = app;
		this.#sockets = sockets;
		this.#store = store;
	}

	/**
	 * Starts a server.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_SERVER_ROOT, ERR_OCTAVO_SERVER_ADDRESS, ERR_OCTAVO_SERVER_TOKEN,
	 *   ERR_OCTAVO_SERVER_PORT
	 */
	static async start(options: ServerOptions): Promise<OctavoServer> {
		const host = options.host ?? "127.0.0.1";
		const token = options.token ?? makeToken();
		const access = new Access(token, host, options.allowRemote);
		const root = new ContentsRoot(await checkRoot(options.root));
		const log = options.log ?? (() => undefined);
		const store = new KernelStore({ env: options.kernelEnv ?? {}, log });
		const app = makeApp(access, store, root);
		const sockets = new WebSocketServer({
			noServer: true,
			maxPayload: maxBodyBytes,
			perMessageDeflate: false,
			handleProtocols: (offered) => (offered.has(v1Protocol) ? v1Protocol : false),
		});
		app.server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
			upgrade(request, socket, head, { access, store, sockets, log });
		});
		try {
			await app.listen({ host, port: options.port ?? 0 });
		} catch (error) {
			await store.close();
			throw new OctavoError("ERR_OCTAVO_SERVER_PORT", `The server cannot listen: ${(error as Error).message}`, {
				cause: error,
			});
		}
		const { port } = app.server.address() as AddressInfo;
		return new OctavoServer(`http://${host.includes(":") ? `[${host}]` : host}:${port}/`, token, app, sockets, store);
	}

	/** Ends the kernels, cuts the connections and stops listening. */
	async close(): Promise<void> {
		await this.#store.close();
		for (const socket of this.#sockets.clients) socket.terminate();
		await this.#app.close();
	}
}

function makeApp(access: Access, store: KernelStore, root: ContentsRoot): FastifyInstance {
	const app = fastify({
		bodyLimit: maxBodyBytes,
		forceCloseConnections: true,
		requestTimeout: requestMs,
		frameworkErrors: (error, _request, reply) => sendError(reply, error),
		clientErrorHandler: refuseClient,
		routerOptions: { maxParamLength: 4096 },
	});
	app.server.on("connection", (socket) => socket.setNoDelay(true));
	// Clients send the type with no body; others send JSON with a type that says nothing.
	app.removeAllContentTypeParsers();
	app.addContentTypeParser(["application/json", "text/plain"], { parseAs: "string" }, (_request, body, done) => {
		try {
			done(null, body === "" ? null : JSON.parse(String(body)));
		} catch (error) {
			done(
				new HttpError(400, "ERR_OCTAVO_REQUEST", `Expected JSON as the request's body but ${(error as Error).message}`),
			);
		}
	});
	app.addHook("onRequest", async (request) => {
		const wrongSite = access.checkSite(request.raw);
		if (wrongSite !== undefined) throw new HttpError(403, "ERR_OCTAVO_SERVER_SITE", wrongSite);
		if (request.routeOptions.url !== "/api" && !access.hasToken(request.raw)) {
			throw new HttpError(
				403,
				"ERR_OCTAVO_SERVER_TOKEN",
				"Expected this server's token, in the Authorization header or ?token=",
			);
		}
	});
	app.addHook("onSend", async (_request, reply) => {
		reply.header("x-content-type-options", "nosniff");
		reply.header("content-security-policy", "default-src 'none'; frame-ancestors 'none'");
		reply.header("cache-control", "no-store");
	});
	app.setErrorHandler((error, _request, reply) => sendError(reply, error));
	app.setNotFoundHandler((request, reply) =>
		sendError(
			reply,
			new HttpError(404, "ERR_OCTAVO_SERVER_ROUTE", `No such address: ${request.method} ${request.url.split("?")[0]}`),
		),
	);

	const started = new Date();
	app.get("/api", () => ({ version: interfaceVersion }));
	app.get("/api/status", () => {
		const kernels = store.models;
		const activities = kernels.map((kernel) => kernel.last_activity);
		return {
			started: started.toISOString(),
			last_activity: [started.toISOString(), ...activities].sort().at(-1),
			connections: kernels.reduce((sum, kernel) => sum + kernel.connections, 0),
			kernels: kernels.length,
		};
	});
	app.get("/api/me", () => ({
		identity: {
			username: "octavo",
			name: "Octavo",
			display_name: "Octavo",
			initials: "O",
			avatar_url: null,
			color: null,
		},
		permissions: {},
	}));
	addKernelRoutes(app, store, root);
	addContentsRoutes(app, new Contents(root));
	return app;
}

interface UpgradeParts {
	access: Access;
	store: KernelStore;
	sockets: WebSocketServer;
	log: (text: string) => void;
}

function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, parts: UpgradeParts): void {
	const { access, store, sockets, log } = parts;
	socket.on("error", () => socket.destroy());
	const refuse = (status: string) => socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
	if (access.checkSite(request) !== undefined || !access.hasToken(request)) return void refuse("403 Forbidden");
	const url = new URL(request.url ?? "/", "http://localhost");
	const id = /^\/api\/kernels\/([^/]+)\/channels$/.exec(url.pathname)?.[1];
	if (id === undefined || !store.models.some((kernel) => kernel.id === id)) return void refuse("404 Not Found");
	sockets.handleUpgrade(request, socket, head, (accepted) => {
		serveKernelSocket(accepted, store.get(id), url.searchParams.get("session_id"), log);
	});
}

async function checkRoot(root: string): Promise<string> {
	try {
		const folder = await realpath(root);
		if ((await stat(folder)).isDirectory()) return folder;
	} catch {
		// Named below, as a file in its place is.
	}
	throw new OctavoError(
		"ERR_OCTAVO_SERVER_ROOT",
		`Expected an existing folder for root but received ${JSON.stringify(root)}`,
	);
}
