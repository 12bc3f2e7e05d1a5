// Files and notebooks below the root, as the contents interface gives and takes them.

import { lstat, mkdir, readdir, readFile, rmdir, stat, unlink } from "node:fs/promises";
import { basename, join, parse } from "node:path";
import { createFile, moveToFree, replaceFile } from "./atomic-files.js";
import {
	bytesOf,
	type ContentsType,
	type CreateRequest,
	checkedType,
	checkSize,
	decodeText,
	parseNotebook,
	type SaveRequest,
} from "./contents-body.js";
import { type ContentsRoot, missing } from "./contents-path.js";
import { HttpError } from "./errors.js";

/** One file or folder in the REST interface. */
export interface ContentsModel {
	name: string;
	path: string;
	type: ContentsType;
	writable: boolean;
	created: string;
	last_modified: string;
	size: number | null;
	mimetype: string | null;
	/** Folder: its entries without content. Notebook: JSON. File: text or base64. Null when not asked for. */
	content: unknown;
	format: "json" | "text" | "base64" | null;
}

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
		checkSize(model.path, model.size);
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
		if (checkedType(request.type) === "directory") {
			if (before && !before.isDirectory()) throw new HttpError(409, "ERR_OCTAVO_CONTENTS_TYPE", `A file is at ${path}`);
			await mkdir(file, { recursive: true });
		} else {
			if (before?.isDirectory()) throw new HttpError(400, "ERR_OCTAVO_CONTENTS_TYPE", `A folder is at ${path}`);
			await replaceFile(file, bytesOf(request), before?.mode);
		}
		return { model: await this.get(path, { content: false }), isNew: !before };
	}

	/** Makes a new, empty notebook, file or folder with a free name in a folder, or a copy of a file. */
	async create(folder: string, request: CreateRequest): Promise<ContentsModel> {
		if (request.copy_from !== undefined) return await this.#copy(folder, request.copy_from);
		const type = checkedType(request.type) ?? "file";
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
		const empty = { cells: [], metadata: {}, nbformat: 4, nbformat_minor: 5 };
		const bytes = type === "notebook" ? bytesOf({ type, content: empty }) : "";
		return await this.#make(
			folder,
			(number) => `${stem}${number || ""}${ext}`,
			(file) => (type === "directory" ? mkdir(file) : createFile(file, bytes)),
		);
	}

	async #copy(folder: string, from: unknown): Promise<ContentsModel> {
		if (typeof from !== "string") {
			throw new HttpError(400, "ERR_OCTAVO_CONTENTS_PATH", `Expected a path as copy_from but received ${typeof from}`);
		}
		const source = await this.#root.resolve(from);
		const { type, size } = await this.#describe(this.#root.normalize(from), source);
		if (type === "directory") {
			throw new HttpError(400, "ERR_OCTAVO_CONTENTS_TYPE", `Expected a file to copy but ${from} is a folder`);
		}
		checkSize(from, size);
		const bytes = await readFile(source);
		const { name, ext } = parse(source);
		return await this.#make(
			folder,
			(number) => `${name}-Copy${number + 1}${ext}`,
			(file) => createFile(file, bytes),
		);
	}

	/** Makes something under the first name that is free, also where others take names at the same time. */
	async #make(
		folder: string,
		nameOf: (number: number) => string,
		make: (file: string) => Promise<unknown>,
	): Promise<ContentsModel> {
		const taken = new Set(await readdir(await this.#root.resolve(folder)));
		for (let number = 0; ; number++) {
			const name = nameOf(number);
			if (taken.has(name)) continue;
			const path = join(folder, name);
			try {
				await make(await this.#root.resolveName(path));
				return await this.get(path, { content: false });
			} catch (error) {
				if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
			}
		}
	}

	/** Moves a file or folder to a path that is free. */
	async rename(path: string, to: string): Promise<ContentsModel> {
		const [from, target] = [await this.#root.resolveName(path), await this.#root.resolveName(to)];
		if (from === this.#root.folder) throw new HttpError(400, "ERR_OCTAVO_CONTENTS_PATH", "The root itself stays");
		await moveToFree(from, target).catch((error: NodeJS.ErrnoException) => {
			if (error.code !== "EEXIST") throw error;
			throw new HttpError(
				409,
				"ERR_OCTAVO_CONTENTS_TYPE",
				`Expected a free name but there is something at ${JSON.stringify(to)}`,
			);
		});
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
