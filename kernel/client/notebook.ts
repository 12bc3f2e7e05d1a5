// Notebook files: read with checks, written the way Jupyter writes them (lists of lines, one-space indent), so that a run
// changes no more of a file under version control than its outputs.

import { randomUUID } from "node:crypto";
import {
	accessSync,
	constants,
	existsSync,
	mkdirSync,
	readFileSync,
	renameSync,
	statSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { OctavoError, type OctavoErrorCode, received } from "../../sdk/errors.js";

/** MIME type → content: text as one string, JSON types as JSON, bytes as base64. */
export type MimeData = Record<string, unknown>;

/** One output of a code cell, as nbformat 4 has it. */
export type Output =
	| { output_type: "stream"; name: string; text: string }
	| { output_type: "display_data"; data: MimeData; metadata: Record<string, unknown> }
	| {
			output_type: "execute_result";
			execution_count: number | null;
			data: MimeData;
			metadata: Record<string, unknown>;
	  }
	| { output_type: "error"; ename: string; evalue: string; traceback: string[] };

/** One cell; in memory its source is one string. */
export interface Cell {
	id: string;
	cell_type: "code" | "markdown" | "raw";
	source: string;
	metadata: Record<string, unknown>;
	attachments?: Record<string, MimeData>;
	/** Code cells only. */
	outputs?: Output[];
	/** Code cells only. */
	execution_count?: number | null;
}

/** A notebook of nbformat 4.5 or newer in the fourth series. */
export interface Notebook {
	nbformat: 4;
	nbformat_minor: number;
	metadata: Record<string, unknown> & {
		kernelspec?: { name?: string; display_name?: string; language?: string };
		language_info?: { name?: string };
		title?: string;
	};
	cells: Cell[];
}

/**
 * Reads a notebook file.
 *
 * @throws {OctavoError} ERR_OCTAVO_NOTEBOOK_MISSING, ERR_OCTAVO_NOTEBOOK_JSON, ERR_OCTAVO_NOTEBOOK_FORMAT
 */
export function readNotebook(path: string): Notebook {
	let text: string;
	try {
		text = readFileSync(path, "utf8");
	} catch (error) {
		fail(
			"ERR_OCTAVO_NOTEBOOK_MISSING",
			`Expected a readable notebook at ${path} but ${(error as Error).message}`,
			error,
		);
	}
	let value: unknown;
	try {
		value = JSON.parse(text.replace(/^\uFEFF/, ""));
	} catch (error) {
		fail("ERR_OCTAVO_NOTEBOOK_JSON", `Expected a notebook in JSON at ${path} but ${(error as Error).message}`, error);
	}
	return checkNotebook(value, path);
}

/**
 * Checks a parsed notebook and brings it to nbformat 4.5, in which each cell has an id.
 *
 * @throws {OctavoError} ERR_OCTAVO_NOTEBOOK_FORMAT says what is wrong, and in which cell
 */
export function checkNotebook(value: unknown, path = "the notebook"): Notebook {
	const wrong = (expected: string, came: unknown): never =>
		fail("ERR_OCTAVO_NOTEBOOK_FORMAT", `Expected ${expected} in ${path} but received ${received(came)}`);
	if (!isObject(value)) return wrong("a notebook object", value);
	const { nbformat, nbformat_minor, metadata, cells } = value;
	if (nbformat !== 4) {
		return wrong("nbformat 4 (jupyter nbconvert --to notebook converts older ones)", nbformat);
	}
	if (!Array.isArray(cells)) return wrong("a list of cells", cells);
	const ids = new Set<string>();
	const checked = cells.map((cell: unknown, i): Cell => {
		if (!isObject(cell)) return wrong(`an object for cell ${i + 1}`, cell);
		const source = joinLines(cell.source);
		if (source === undefined) return wrong(`text as the source of cell ${i + 1}`, cell.source);
		const type = cell.cell_type;
		if (type !== "code" && type !== "markdown" && type !== "raw") {
			return wrong(`code, markdown or raw as the type of cell ${i + 1}`, type);
		}
		const given = typeof cell.id === "string" && /^[\w-]{1,64}$/.test(cell.id) && !ids.has(cell.id);
		const id = given ? (cell.id as string) : randomUUID().slice(0, 8);
		ids.add(id);
		const common: Cell = { id, cell_type: type, source, metadata: isObject(cell.metadata) ? cell.metadata : {} };
		if (isObject(cell.attachments)) common.attachments = cell.attachments as Record<string, MimeData>;
		if (type !== "code") return common;
		const outputs = Array.isArray(cell.outputs) ? cell.outputs.filter(isObject).map(joinOutput) : [];
		const count = Number.isInteger(cell.execution_count) ? (cell.execution_count as number) : null;
		return { ...common, outputs, execution_count: count };
	});
	const minor = Number.isInteger(nbformat_minor) ? (nbformat_minor as number) : 0;
	return {
		nbformat: 4,
		nbformat_minor: Math.max(5, minor),
		metadata: isObject(metadata) ? metadata : {},
		cells: checked,
	};
}

/** Gives the notebook as Jupyter writes it. */
export function formatNotebook({ metadata, nbformat, nbformat_minor, cells }: Notebook): string {
	const written = cells.map(({ id, cell_type, source, metadata, attachments, outputs, execution_count }) => ({
		...(attachments ? { attachments } : {}),
		cell_type,
		...(cell_type === "code" ? { execution_count: execution_count ?? null } : {}),
		id,
		metadata,
		...(cell_type === "code" ? { outputs: (outputs ?? []).map(splitOutput) } : {}),
		source: splitLines(source),
	}));
	return `${JSON.stringify({ cells: written, metadata, nbformat, nbformat_minor }, null, 1)}\n`;
}

/**
 * Writes a file so that it is there whole or not at all; makes its folder.
 *
 * @throws {OctavoError} ERR_OCTAVO_OUTPUT when it cannot be written
 */
export function writeWhole(path: string, text: string): void {
	const temporary = join(dirname(resolve(path)), `.~${randomUUID()}`);
	checkWritable(path);
	try {
		writeFileSync(temporary, text);
		renameSync(temporary, path);
	} catch (error) {
		if (existsSync(temporary)) unlinkSync(temporary);
		cannotWrite(path, error);
	}
}

/**
 * Makes the folder of a file that is to be written; called before a long run, so that it is not in vain.
 *
 * @throws {OctavoError} ERR_OCTAVO_OUTPUT when the file cannot be written
 */
export function checkWritable(path: string): void {
	const folder = dirname(resolve(path));
	try {
		makeFolder(folder);
		accessSync(folder, constants.W_OK);
		if (existsSync(path) && !statSync(path).isFile()) throw new Error("it is no file");
	} catch (error) {
		cannotWrite(path, error);
	}
}

function cannotWrite(path: string, error: unknown): never {
	fail("ERR_OCTAVO_OUTPUT", `${path} cannot be written: ${(error as Error).message}`, error);
}

// Not mkdir's own recursion: where a file system answers ENOENT for a folder that cannot be made, such as /proc, that
// of Node 20 never ends.
function makeFolder(folder: string): void {
	if (statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return;
	makeFolder(dirname(folder));
	mkdirSync(folder);
}

function splitOutput(output: Output): object {
	if (output.output_type === "stream") return { ...output, text: splitLines(output.text) };
	if (output.output_type === "error") return output;
	const data = Object.entries(output.data).map(([mime, content]) => [
		mime,
		typeof content === "string" && isTextMime(mime) ? splitLines(content) : content,
	]);
	return { ...output, data: Object.fromEntries(data) };
}

function joinOutput(output: Record<string, unknown>): Output {
	if (output.output_type === "stream") {
		return { output_type: "stream", name: String(output.name), text: joinLines(output.text) ?? "" };
	}
	if (!isObject(output.data)) return output as Output;
	const data = Object.entries(output.data).map(([mime, content]) => [
		mime,
		isTextMime(mime) || typeof content === "string" ? (joinLines(content) ?? content) : content,
	]);
	return { ...output, data: Object.fromEntries(data) } as Output;
}

function isTextMime(mime: string): boolean {
	return mime.startsWith("text/") || mime === "image/svg+xml" || mime === "application/javascript";
}

function splitLines(text: string): string[] {
	return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

function joinLines(value: unknown): string | undefined {
	if (typeof value === "string") return value;
	if (Array.isArray(value) && value.every((line) => typeof line === "string")) return value.join("");
	return undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

function fail(code: OctavoErrorCode, message: string, cause?: unknown): never {
	throw new OctavoError(code, message, cause === undefined ? undefined : { cause });
}
