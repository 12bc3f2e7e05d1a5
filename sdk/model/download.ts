// Downloads a model from a Hugging Face hub into the hub's cache: only the files that a model is opened from, small ones
// first. Nothing here runs unless it is asked for; a model whose folder is on this machine needs no network.

import { basename } from "node:path";
import { OctavoError, received } from "../errors.js";
import { anything, type Check, checkOptions, instanceOf } from "../options.js";
import { downloadFile } from "./download-file.js";
import { HubCache, isCommit, sizeOf } from "./hub-cache.js";
import { readJson } from "./json-file.js";
import { tokenizerFiles } from "./read-tokenizer.js";

/** How a model is downloaded. */
export interface DownloadOptions {
	/** Folder of downloaded models. Default: that of the Hugging Face hub, `$HF_HUB_CACHE` or ~/.cache/huggingface/hub. */
	cacheDir?: string;
	/** Branch, tag or commit. Default `main`. */
	revision?: string;
	/** Access token, for models that need one. Default `$HF_TOKEN`. */
	token?: string;
	/** Address of the hub. Default `$HF_ENDPOINT` or https://huggingface.co. */
	endpoint?: string;
	/** Called when a file begins, at most ten times a second while it comes, and when it is there. */
	progress?: (progress: DownloadProgress) => void;
	/** Stops the download; what has come is kept, and the next call goes on from there. */
	signal?: AbortSignal;
}

/** How far a download is. */
export interface DownloadProgress {
	/** File under way. */
	file: string;
	/** Bytes of this file that are there. */
	fileBytes: number;
	/** Its size in bytes. */
	fileTotalBytes: number;
	/** Bytes of all files known up to now that are there; shards are known once their index is. */
	bytes: number;
	/** Size of all files in bytes. */
	totalBytes: number;
}

interface RemoteFile {
	path: string;
	sizeBytes: number;
	hash: string;
}

type Settings = ReturnType<typeof checkDownload>;

const indexFile = "model.safetensors.index.json";
const progressMs = 100;
const maxFiles = 100_000;
/** Downloads of this process, by the blob they write. */
const underWay = new Map<string, Promise<void>>();

const text =
	(pattern: RegExp, expected: string): Check<string | undefined> =>
	(value, name) => {
		if (value === undefined || (typeof value === "string" && pattern.test(value))) return value as string | undefined;
		throw new OctavoError("ERR_OCTAVO_OPTION", `Expected ${expected} for ${name} but received ${received(value)}`);
	};

function checkDownload(options: unknown) {
	const given = checkOptions("downloadModel()", options, {
		cacheDir: text(/./, "a path"),
		revision: text(/^(?!.*\.\.)\w[\w./-]*$/, "a branch, tag or commit"),
		token: text(/^hf_\S+$/, "a token that begins with hf_"),
		endpoint: text(/^https?:\/\/\S+$/, "an http(s) address"),
		progress: anything,
		signal: instanceOf(AbortSignal),
	});
	return {
		...given,
		revision: given.revision ?? "main",
		token: given.token ?? (process.env.HF_TOKEN || undefined),
		endpoint: (given.endpoint ?? (process.env.HF_ENDPOINT || "https://huggingface.co")).replace(/\/+$/, ""),
		progress: given.progress as DownloadOptions["progress"],
	};
}

function fail(message: string, cause?: unknown): never {
	throw new OctavoError("ERR_OCTAVO_DOWNLOAD", message, { cause });
}

/**
 * Downloads a model, or finds it in the cache. Files that are there are not downloaded again; broken downloads go on where
 * they stopped; each file's hash is checked. Without a network, what is in the cache is taken.
 *
 * @param repo `organisation/name`
 * @returns the folder, for `loadModel`
 * @throws {OctavoError} ERR_OCTAVO_DOWNLOAD when the hub cannot be reached, has no such model, wants a token, or sends
 * something else than it promised; ERR_OCTAVO_OPTION naming the option
 */
export async function downloadModel(repo: string, options: DownloadOptions = {}): Promise<string> {
	const settings = checkDownload(options);
	if (typeof repo !== "string" || !/^\w[\w.-]*\/\w[\w.-]*$/.test(repo)) {
		fail(`Expected a model as organisation/name but received ${received(repo)}`);
	}
	const { getHFHubCachePath } = await import("@huggingface/hub");
	const cache = new HubCache(settings.cacheDir ?? getHFHubCachePath(), repo);
	try {
		return await download(repo, cache, settings);
	} catch (error) {
		settings.signal?.throwIfAborted();
		if (error instanceof OctavoError) throw error;
		const { statusCode } = error as { statusCode?: number };
		const refused = statusCode !== undefined && statusCode < 500;
		const cached = refused ? undefined : await cache.find(settings.revision);
		if (cached !== undefined) return cached;
		fail(describe(error as Error, repo, settings), error);
	}
}

function describe(error: Error & { statusCode?: number }, repo: string, { endpoint, revision }: Settings): string {
	const expected = `Expected to download ${repo} (${revision}) from ${endpoint}`;
	if (error.statusCode === 401 || error.statusCode === 403) {
		return `${expected} but received status ${error.statusCode}: it is not there, or needs a token of an account with access`;
	}
	if (error.statusCode !== undefined) return `${expected} but received status ${error.statusCode}`;
	const reason = (error.cause as Error | undefined)?.message || error.message;
	return `${expected} but received: ${reason}; no copy is in the cache`;
}

async function download(repo: string, cache: HubCache, settings: Settings): Promise<string> {
	const { modelInfo, listFiles } = await import("@huggingface/hub");
	const { revision, endpoint, token, signal } = settings;
	const hub = {
		hubUrl: endpoint,
		...(token !== undefined && { accessToken: token }),
		fetch: ((input, init) => fetch(input, { ...init, ...(signal && { signal }) })) as typeof fetch,
	};
	const { sha: commit } = await modelInfo({ ...hub, name: repo, revision, additionalFields: ["sha"] });
	if (!isCommit(commit)) fail(`Expected a commit of ${repo} from ${endpoint} but received ${received(commit)}`);
	const remote = new Map<string, RemoteFile>();
	for await (const { type, path, size, oid, lfs } of listFiles({ ...hub, repo, revision: commit })) {
		if (type !== "file" || remote.size > maxFiles) continue;
		remote.set(path, { path, sizeBytes: size, hash: lfs?.oid ?? oid ?? "" });
	}
	const transfer = new Transfer(cache, commit, repo, hub, settings);
	const small = ["config.json", "generation_config.json", ...tokenizerFiles, indexFile];
	await transfer.fetch(small.flatMap((path) => remote.get(path) ?? []));
	const weights = remote.has(indexFile) ? await shardsOf(cache.snapshot(commit)) : ["model.safetensors"];
	const missing = ["config.json", ...weights].find((path) => !remote.has(path));
	if (missing !== undefined) fail(`Expected ${missing} in ${repo} (${revision}) at ${endpoint} but it is not there`);
	await transfer.fetch(weights.map((path) => remote.get(path)!));
	await cache.name(revision, commit);
	return cache.snapshot(commit);
}

async function shardsOf(folder: string): Promise<string[]> {
	const path = `${folder}/${indexFile}`;
	const index = (await readJson(path, "ERR_OCTAVO_DOWNLOAD")) as { weight_map?: unknown } | null;
	const map = index?.weight_map;
	const names = typeof map === "object" && map !== null ? [...new Set(Object.values(map) as unknown[])] : [];
	const isShard = (name: unknown): name is string => typeof name === "string" && name === basename(name);
	if (names.length > 0 && names.every(isShard)) return names.sort();
	return fail(`Expected names of files in weight_map of ${path} but received ${received(map)}`);
}

interface Hub {
	hubUrl: string;
	accessToken?: string;
	fetch: typeof fetch;
}

/** Brings files of one commit into the cache. */
class Transfer {
	readonly #cache: HubCache;
	readonly #commit: string;
	readonly #repo: string;
	readonly #hub: Hub;
	readonly #settings: Settings;
	#doneBytes = 0;
	#totalBytes = 0;

	constructor(cache: HubCache, commit: string, repo: string, hub: Hub, settings: Settings) {
		this.#cache = cache;
		this.#commit = commit;
		this.#repo = repo;
		this.#hub = hub;
		this.#settings = settings;
	}

	async fetch(files: readonly RemoteFile[]): Promise<void> {
		for (const { path, sizeBytes, hash } of files) {
			if (/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(hash) && Number.isSafeInteger(sizeBytes) && sizeBytes >= 0) continue;
			fail(`Expected size and hash of ${path} but received ${received(sizeBytes)} and ${received(hash)}`);
		}
		this.#totalBytes += files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
		for (const file of files) {
			this.#settings.signal?.throwIfAborted();
			await this.#fetchOne(file);
			this.#doneBytes += file.sizeBytes;
		}
	}

	async #fetchOne(file: RemoteFile): Promise<void> {
		const { path: name, sizeBytes, hash } = file;
		const { progress } = this.#settings;
		const path = this.#cache.blob(hash);
		const report = (fileBytes: number) =>
			progress?.({
				...{ file: name, fileBytes, fileTotalBytes: sizeBytes },
				...{ bytes: this.#doneBytes + fileBytes, totalBytes: this.#totalBytes },
			});
		for (;;) {
			// Another cell may be at the same file: two writers would spoil each other's part.
			const other = underWay.get(path);
			if (other) await other.catch(() => undefined);
			else if ((await sizeOf(path)) === sizeBytes) break;
			else if (!underWay.has(path)) {
				const own = this.#download(file, path, report);
				underWay.set(path, own);
				await own.finally(() => underWay.delete(path));
			}
		}
		await this.#cache.link(this.#commit, name, hash);
		report(sizeBytes);
	}

	async #download(file: RemoteFile, path: string, report: (fileBytes: number) => void): Promise<void> {
		const { path: name, sizeBytes, hash } = file;
		const { fileDownloadInfo } = await import("@huggingface/hub");
		const info = await fileDownloadInfo({ ...this.#hub, repo: this.#repo, path: name, revision: this.#commit });
		if (!info || info.size !== sizeBytes) {
			fail(`Expected ${sizeBytes} bytes of ${name} in ${this.#repo} but received ${info ? info.size : "none"}`);
		}
		// A file may lie at another address than the hub's, which the token is not for.
		const isHub = new URL(info.url).origin === new URL(this.#hub.hubUrl).origin;
		const { accessToken } = this.#hub;
		const headers: Record<string, string> = isHub && accessToken ? { Authorization: `Bearer ${accessToken}` } : {};
		let lastMs = Number.NEGATIVE_INFINITY;
		const onBytes = (bytes: number) => {
			if (performance.now() - lastMs < progressMs) return;
			lastMs = performance.now();
			report(bytes);
		};
		report((await sizeOf(`${path}.incomplete`)) ?? 0);
		const { signal } = this.#settings;
		await downloadFile({ name, url: info.url, headers, sizeBytes, hash, path }, { onBytes, signal });
	}
}
