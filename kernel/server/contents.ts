// Files and notebooks below the root, as the contents interface gives and takes them. Writing goes to a temporary file
// that then takes the name, so that a reader never sees half a notebook and a full disk loses nothing.

import { randomUUID } from "node:crypto";
import { lstat, mkdir, open, readdir, readFile, rename, rm, rmdir, stat, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { type ContentsRoot, missing } from "./contents-path.js";
import { HttpError } from "./errors.js";

/** One file or folder in the REST interface. */
export interface ContentsModel {
	name: string;
	path: string;
	type: "directory" | "notebook" | "file";
	writable: boolean;
	created: string;
	last_modified: string;
	size: number | null;
	mimetype: string | null;
	/** Folder: its entries without content. Notebook: JSON. File: text or base64. Null when not asked for. */
	content: unknown;
	format: "json" | "text" | "base64" | null;
}

/** What a client sends to save. */
export interface SaveRequest {
	type?: unknown;
	format?: unknown;
	content?: unknown;
}

const maxFileBytes = 256 * 1024 * 1024;

/** Reads and writes below one root. */
export class Contents {
	readonly #root: ContentsRoot;

	constructor(root: ContentsRoot) {
		this.#root = root;
	}

	/** Gives a file or folder. */
	async get(path: string, options: { content?: boolean; type?: string; format?: string } = {}): Promise<ContentsModel> {
		const file = await this.#root.resolve(path);
		const model = await this.#describe(this.#root.normalize(path), file);
		if (options.type && options.type !== model.type && !(options.type === "file" && model.type === "notebook")) {
			throw new HttpError(
				400,
				"ERR_OCTAVO_CONTENTS_TYPE",
				`Expected a ${options.type} at ${model.path} but found a ${model.type}`,
			);
		}
		if (options.content === false) return model;
		if (model.type === "directory") {
			return { ...model, format: "json", content: await this.#list(model.path, file) };
		}
		if ((model.size ?? 0) > maxFileBytes) {
			throw new HttpError(
				413,
				"ERR_OCTAVO_CONTENTS_SIZE",
				`Expected at most ${maxFileBytes} bytes but ${model.path} has ${model.size}`,
			);
		}
		const bytes = await readFile(file);
		if (model.type === "notebook" && options.type !== "file")
			return { ...model, format: "json", content: parseNotebook(bytes, path) };
		const text = options.format === "base64" ? undefined : decodeText(bytes);
		return {
			...model,
			type: "file",
			mimetype: text === undefined ? "application/octet-stream" : "text/plain",
			format: text === undefined ? "base64" : "text",
			content: text ?? bytes.toString("base64"),
		};
	}

	/** Saves a file or notebook, or makes a folder; says whether it is new. */
	async save(path: string, request: SaveRequest): Promise<{ model: ContentsModel; isNew: boolean }> {
		const file = await this.#root.resolve(path);
		if (file === this.#root.folder) throw new HttpError(400, "ERR_OCTAVO_CONTENTS_PATH", "Expected a file's path");
		const before = await lstat(file).catch(() => undefined);
		if (request.type === "directory") {
			if (before && !before.isDirectory()) throw new HttpError(409, "ERR_OCTAVO_CONTENTS_TYPE", `A file is at ${path}`);
			await mkdir(file, { recursive: true });
		} else {
			if (before?.isDirectory()) throw new HttpError(400, "ERR_OCTAVO_CONTENTS_TYPE", `A folder is at ${path}`);
			await writeAtomically(file, bytesOf(request), before?.mode);
		}
		return { model: await this.get(path, { content: false }), isNew: !before };
	}

	/** Makes a new, empty notebook, file or folder with a free name in a folder. */
	async create(folder: string, request: { type?: unknown; ext?: unknown }): Promise<ContentsModel> {
		const type = request.type === "notebook" || request.type === "directory" ? request.type : "file";
		const extension = typeof request.ext === "string" ? request.ext : "";
		if (!/^(\.\w{1,16})?$/.test(extension)) {
			throw new HttpError(
				400,
				"ERR_OCTAVO_CONTENTS_PATH",
				`Expected an extension such as .txt but received ${JSON.stringify(extension)}`,
			);
		}
		const [stem, ext] = {
			notebook: ["Untitled", ".ipynb"],
			directory: ["Untitled Folder", ""],
			file: ["untitled", extension],
		}[type];
		const taken = new Set(await readdir(await this.#root.resolve(folder)));
		let name = `${stem}${ext}`;
		for (let i = 1; taken.has(name); i++) name = `${stem}${i}${ext}`;
		const empty = { cells: [], metadata: {}, nbformat: 4, nbformat_minor: 5 };
		const content = type === "notebook" ? empty : "";
		return (await this.save(join(folder, name), { type, content, format: "text" })).model;
	}

	/** Moves a file or folder to a path that is free. */
	async rename(path: string, to: string): Promise<ContentsModel> {
		const [from, target] = [await this.#root.resolveName(path), await this.#root.resolveName(to)];
		if (await lstat(target).catch(() => undefined))
			throw new HttpError(409, "ERR_OCTAVO_CONTENTS_TYPE", `A file is at ${to}`);
		await rename(from, target);
		return await this.get(to, { content: false });
	}

	/** Removes a file, or a folder with nothing in it. */
	async remove(path: string): Promise<void> {
		const file = await this.#root.resolveName(path);
		if (file === this.#root.folder) throw new HttpError(400, "ERR_OCTAVO_CONTENTS_PATH", "The root itself stays");
		if ((await lstat(file)).isDirectory()) await rmdir(file);
		else await unlink(file);
	}

	async #describe(path: string, file: string): Promise<ContentsModel> {
		const info = await stat(file).catch(() => {
			throw missing(path);
		});
		if (!info.isDirectory() && !info.isFile()) throw missing(path);
		const type = info.isDirectory() ? "directory" : path.endsWith(".ipynb") ? "notebook" : "file";
		return {
			name: basename(path),
			path,
			type,
			writable: (info.mode & 0o222) !== 0,
			created: info.birthtime.toISOString(),
			last_modified: info.mtime.toISOString(),
			size: type === "directory" ? null : info.size,
			mimetype: null,
			content: null,
			format: null,
		};
	}

	async #list(path: string, folder: string): Promise<ContentsModel[]> {
		const names = (await readdir(folder)).filter((name) => !name.startsWith(".")).sort();
		const entries = names.map(async (name) => {
			const entry = path === "" ? name : `${path}/${name}`;
			return await this.#describe(entry, await this.#root.resolve(entry));
		});
		// Links that lead out of the root or nowhere are no part of the list.
		const settled = await Promise.allSettled(entries);
		return settled.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
	}
}

function parseNotebook(bytes: Buffer, path: string): unknown {
	try {
		return JSON.parse(bytes.toString("utf8"));
	} catch (error) {
		throw new HttpError(
			400,
			"ERR_OCTAVO_NOTEBOOK",
			`Expected a notebook in JSON at ${path} but ${(error as Error).message}`,
		);
	}
}

function decodeText(bytes: Buffer): string | undefined {
	try {
		return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
	} catch {
		return undefined;
	}
}

function bytesOf({ type, format, content }: SaveRequest): Buffer | string {
	if (type === "notebook") {
		if (typeof content !== "object" || content === null) {
			throw new HttpError(
				400,
				"ERR_OCTAVO_NOTEBOOK",
				`Expected a notebook object as content but received ${typeof content}`,
			);
		}
		return `${JSON.stringify(content, null, 1)}\n`;
	}
	if (typeof content !== "string") {
		throw new HttpError(400, "ERR_OCTAVO_CONTENTS_TYPE", `Expected a string as content but received ${typeof content}`);
	}
	return format === "base64" ? Buffer.from(content, "base64") : content;
}

async function writeAtomically(file: string, bytes: Buffer | string, mode = 0o644): Promise<void> {
	const temporary = join(dirname(file), `.~${randomUUID()}`);
	try {
		const handle = await open(temporary, "wx", mode & 0o777);
		try {
			await handle.writeFile(bytes);
		} finally {
			await handle.close();
		}
		await rename(temporary, file);
	} catch (error) {
		await rm(temporary, { force: true });
		throw error;
	}
}
