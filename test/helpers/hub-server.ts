// A Hugging Face hub on loopback with one model, which can be made to misbehave: to break connections, to send less or
// something else than it promised.

import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

/** A request that came. */
export interface HubRequest {
	path: string;
	range: string | undefined;
	token: string | undefined;
}

/** What the hub does. Change it at any time. */
export interface HubBehaviour {
	/** Contents by path. */
	files: Map<string, Buffer>;
	/** Connections that send a file this many bytes further, and then break; endless if not given. */
	breakAfterBytes?: number;
	/** Breaks this many of them at most. */
	numBreaks?: number;
	/** Answers ranges with the whole file. */
	ignoresRanges?: boolean;
	/** Answers ranges with ones that begin so many bytes later. */
	shiftsRangesBy?: number;
	/** Token without which it answers 401. */
	token?: string;
	/** Changes contents as they are sent, not what is said of them. */
	corrupt?: (path: string, contents: Buffer) => Buffer;
	/** Address of another hub that has the contents, as large files are kept elsewhere. */
	redirectTo?: string;
	/** Changes the listing. */
	listing?: (entries: Record<string, unknown>[]) => unknown;
}

/** A running hub. */
export interface HubServer {
	endpoint: string;
	requests: HubRequest[];
	close(): Promise<void>;
}

/** Commit that the hub's branch `main` is at. */
export const hubCommit = "0123456789abcdef0123456789abcdef01234567";

const sha1 = (contents: Buffer) =>
	createHash("sha1").update(`blob ${contents.length}\0`).update(contents).digest("hex");
const sha256 = (contents: Buffer) => createHash("sha256").update(contents).digest("hex");
const isLarge = (path: string) => path.endsWith(".safetensors");

/** Starts a hub that has `org/tiny`, and stops it when the test ends. */
export async function startHub(test: Pick<TestContext, "after">, behaviour: HubBehaviour): Promise<HubServer> {
	const requests: HubRequest[] = [];
	const server = createServer((request, response) => {
		const path = decodeURIComponent(new URL(request.url!, "http://hub").pathname);
		const { range, authorization } = request.headers;
		requests.push({ path, range, token: authorization?.replace(/^Bearer /, "") });
		answer(behaviour, path, request, response);
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const close = () =>
		new Promise<void>((resolve) => {
			server.close(() => resolve());
			server.closeAllConnections();
		});
	test.after(close);
	return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests, close };
}

function answer(behaviour: HubBehaviour, path: string, request: IncomingMessage, response: ServerResponse): void {
	const json = (value: unknown, status = 200) => {
		response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
	};
	const promised = behaviour.files.get(path.replace(`/org/tiny/resolve/${hubCommit}/`, ""));
	if (behaviour.token !== undefined && request.headers.authorization !== `Bearer ${behaviour.token}`) {
		json({ error: "Invalid username or password." }, 401);
	} else if (path === "/api/models/org/tiny/revision/main" || path === `/api/models/org/tiny/revision/${hubCommit}`) {
		json({ _id: "1", id: "org/tiny", sha: hubCommit, lastModified: "2024-01-01T00:00:00Z" });
	} else if (path === `/api/models/org/tiny/tree/${hubCommit}`) {
		const entries = [...behaviour.files].map(([name, contents]) => ({
			...{ type: "file", path: name, size: contents.length, oid: sha1(contents) },
			...(isLarge(name) && { lfs: { oid: sha256(contents), size: contents.length, pointerSize: 130 } }),
		}));
		json(behaviour.listing ? behaviour.listing(entries) : entries);
	} else if (promised && behaviour.redirectTo !== undefined) {
		response.writeHead(302, { location: `${behaviour.redirectTo}${path}` }).end();
	} else if (promised) {
		const contents = behaviour.corrupt?.(path.split("/").at(-1)!, promised) ?? promised;
		sendFile(behaviour, contents, promised, request, response);
	} else {
		json({ error: "not found" }, 404);
	}
}

function sendFile(
	behaviour: HubBehaviour,
	contents: Buffer,
	promised: Buffer,
	request: IncomingMessage,
	response: ServerResponse,
): void {
	const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
	const isProbe = last === "0";
	const isRange = first !== undefined && (isProbe || !behaviour.ignoresRanges);
	const start = isRange ? Number(first) + (isProbe ? 0 : (behaviour.shiftsRangesBy ?? 0)) : 0;
	const end = isRange && last ? Number(last) + 1 : contents.length;
	response.writeHead(isRange ? 206 : 200, {
		"content-length": end - start,
		etag: `"${sha1(promised)}"`,
		...(isRange && { "content-range": `bytes ${start}-${end - 1}/${promised.length}` }),
	});
	const { breakAfterBytes } = behaviour;
	if (breakAfterBytes === undefined || isProbe || end - start <= breakAfterBytes || behaviour.numBreaks === 0) {
		response.end(contents.subarray(start, end));
		return;
	}
	if (behaviour.numBreaks !== undefined) behaviour.numBreaks--;
	response.write(contents.subarray(start, start + breakAfterBytes), () => {
		setTimeout(() => response.destroy(), 20);
	});
}
