// Downloads one file, going on where an earlier attempt stopped, and keeps it only if its hash is right. What has come
// stays beside it as `.incomplete` when the connection breaks, for the next attempt or the next program.

import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout } from "node:timers/promises";
import { OctavoError } from "../errors.js";
import { makeFolder } from "../make-folder.js";
import { sizeOf } from "./hub-cache.js";

/** What to download. */
export interface FileToDownload {
	/** For messages. */
	name: string;
	url: string;
	headers: Record<string, string>;
	sizeBytes: number;
	/** Hexadecimal: 64 digits are the SHA-256 of the contents, 40 the SHA-1 that git gives them. */
	hash: string;
	/** Where it goes. */
	path: string;
}

/** How the download is watched. */
export interface DownloadWatcher {
	/** Called with bytes that are there. */
	onBytes: (bytes: number) => void;
	signal: AbortSignal | undefined;
}

// Attempts in a row that bring nothing new.
const maxIdleAttempts = 3;
const firstPauseMs = 100;

function fail(message: string, cause?: unknown): never {
	throw new OctavoError("ERR_OCTAVO_DOWNLOAD", message, { cause });
}

/**
 * Downloads a file.
 *
 * @throws {OctavoError} ERR_OCTAVO_DOWNLOAD when it does not come whole, or not as its hash says
 */
export async function downloadFile(file: FileToDownload, watcher: DownloadWatcher): Promise<void> {
	const partPath = `${file.path}.incomplete`;
	await makeFolder(dirname(file.path)).catch((error: Error) => {
		fail(`Expected a folder to write to at ${dirname(file.path)} but received: ${error.message}`, error);
	});
	let numIdle = 0;
	for (;;) {
		const before = await usablePart(partPath, file.sizeBytes);
		if (before === file.sizeBytes && before > 0) break;
		try {
			await append(file, partPath, before, watcher);
			break;
		} catch (error) {
			watcher.signal?.throwIfAborted();
			if (error instanceof OctavoError) throw error;
			const after = (await sizeOf(partPath)) ?? 0;
			numIdle = after > before ? 0 : numIdle + 1;
			if (numIdle === maxIdleAttempts) {
				const reason = (error as { cause?: Error }).cause?.message ?? (error as Error).message;
				const expected = `all ${file.sizeBytes} bytes of ${file.name} from ${file.url}`;
				fail(`Expected ${expected} but received ${after}: ${reason}; the next call goes on from there`, error);
			}
			await setTimeout(firstPauseMs * 2 ** numIdle, undefined, watcher.signal ? { signal: watcher.signal } : {});
		}
	}
	const hash = await hashOf(partPath, file);
	if (hash !== file.hash) {
		await rm(partPath, { force: true });
		fail(`Expected contents with hash ${file.hash} for ${file.name} but received ${hash}; what came was removed`);
	}
	await rename(partPath, file.path);
}

async function usablePart(path: string, sizeBytes: number): Promise<number> {
	const bytes = (await sizeOf(path)) ?? 0;
	if (bytes <= sizeBytes) return bytes;
	await rm(path);
	return 0;
}

async function append(file: FileToDownload, path: string, from: number, watcher: DownloadWatcher): Promise<void> {
	const { name, sizeBytes } = file;
	// Compressed contents have other lengths and ranges than were promised.
	const headers = {
		...file.headers,
		"Accept-Encoding": "identity",
		...(from > 0 && { Range: `bytes=${from}-` }),
	};
	const response = await fetch(file.url, { headers, ...(watcher.signal && { signal: watcher.signal }) });
	const { status, body } = response;
	if (status >= 500) throw new Error(`status ${status}`);
	if (status !== 200 && status !== 206) fail(`Expected ${name} from ${file.url} but received status ${status}`);
	// A server that does not know ranges sends the whole; one that sends another range than asked for is not to be trusted.
	const start = status === 206 ? Number(/^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "")?.[1]) : 0;
	if (status === 206 && start !== from) {
		fail(`Expected bytes from ${from} of ${name} but received ${response.headers.get("content-range")}`);
	}
	const part = await open(path, start > 0 ? "r+" : "w");
	try {
		let at = start;
		for await (const bytes of body ?? []) {
			if (at + bytes.length > sizeBytes) {
				await part.truncate(0);
				fail(`Expected ${sizeBytes} bytes of ${name} but received more; what came was removed`);
			}
			await part.write(bytes, 0, bytes.length, at);
			at += bytes.length;
			watcher.onBytes(at);
		}
		if (at < sizeBytes) throw new Error(`the server ended after ${at} bytes`);
	} finally {
		await part.close();
	}
}

async function hashOf(path: string, { hash, sizeBytes }: FileToDownload): Promise<string> {
	const isGit = hash.length === 40;
	const digest: Hash = createHash(isGit ? "sha1" : "sha256");
	if (isGit) digest.update(`blob ${sizeBytes}\0`);
	for await (const bytes of createReadStream(path)) digest.update(bytes as Buffer);
	return digest.digest("hex");
}
