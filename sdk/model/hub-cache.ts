// Where downloaded models lie: in the layout of the Hugging Face hub's own cache, so that what other programs have
// downloaded is found. Contents are kept by hash in blobs/; a snapshot links to them by name; refs/ names snapshots, and
// is written last, so that one that is named is whole.

import { randomUUID } from "node:crypto";
import { readFile, rename, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { makeFolder } from "../make-folder.js";

/** The cache of one repository. */
export class HubCache {
	readonly folder: string;

	/**
	 * @param cacheDir folder of all repositories
	 * @param repo `org/name`
	 */
	constructor(cacheDir: string, repo: string) {
		this.folder = join(resolve(cacheDir), `models--${repo.replace("/", "--")}`);
	}

	/** Folder of a commit's files. */
	snapshot(commit: string): string {
		return join(this.folder, "snapshots", commit);
	}

	/** Where the contents with this hash are, or will be. */
	blob(hash: string): string {
		return join(this.folder, "blobs", hash);
	}

	/** Folder of a branch, tag or commit that was downloaded whole; undefined if there is none. */
	async find(revision: string): Promise<string | undefined> {
		const commit = (await readFile(this.#ref(revision), "utf8").catch(() => revision)).trim();
		if (!isCommit(commit)) return undefined;
		const folder = this.snapshot(commit);
		return (await sizeOf(join(folder, "config.json"))) === undefined ? undefined : folder;
	}

	/** Names a snapshot, once all its files are there. */
	async name(revision: string, commit: string): Promise<void> {
		const path = this.#ref(revision);
		await makeFolder(dirname(path));
		await writeFile(path, commit);
	}

	/** Puts a blob into a snapshot by its file name. */
	async link(commit: string, file: string, hash: string): Promise<void> {
		const path = join(this.snapshot(commit), file);
		await makeFolder(dirname(path));
		const temporary = `${path}.${randomUUID()}.incomplete`;
		await symlink(relative(dirname(path), this.blob(hash)), temporary);
		await rename(temporary, path);
	}

	#ref(revision: string): string {
		return join(this.folder, "refs", revision);
	}
}

/** Whether a text is the hash of a commit. */
export function isCommit(text: unknown): text is string {
	return typeof text === "string" && /^[0-9a-f]{40}$/.test(text);
}

/** Bytes of a file; undefined where there is none. */
export async function sizeOf(path: string): Promise<number | undefined> {
	try {
		return (await stat(path)).size;
	} catch {
		return undefined;
	}
}
