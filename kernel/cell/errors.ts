// Errors as a notebook shows them: the lines of cells and of the files beside them instead of the generated ones, the lines around the place, and
// library frames folded into a count.

import { SourceMap } from "node:module";
import type { ErrorContent } from "../protocol/messages.js";
import { cyan, dim, frame, red } from "./code-frame.js";
import { runtimeHint } from "./hints.js";
import { type LocalModule, wrapperLength } from "./local-modules.js";
import { causeOf, errorsOf, isError, nameOf, safeText, textOfThrown } from "./thrown.js";
import { userFrame } from "./user-frames.js";

/** What tslab made of a cell. */
export interface CellScript {
	/** Script name that the cell's frames carry. */
	name: string;
	/** Characters before the output's first line, put there by the wrapper. */
	offset: number;
	/** Lines of the output; the wrapper's own call is on the line behind them. */
	numLines: number;
	/** Lines that the converter puts before the source's own first: one before a cell's, none before a file's. */
	linesBefore: number;
	/** Source map from the source (a cell lies one line below tslab's prefix) to the output. */
	sourceToOutput?: string;
}

interface CellSource {
	label: string;
	lines: string[];
	/** Present where it is a file; a cell that is a module lies nowhere. */
	path?: string;
	script: CellScript;
	/** Source map from the output to the cell, parsed when the first error needs it. */
	map?: SourceMap;
}

interface Place {
	cell: CellSource;
	/** Counts from 1. */
	line: number;
	/** Counts from 1. */
	column: number;
}

/** What the names of cells' scripts begin with; a number follows. */
export const scriptPrefix = "octavo-cell-";
/** A frame of the kernel's own. */
const ownFrame = /[\\/](?:kernel[\\/]cell[\\/][\w-]+|tslab[\\/]dist[\\/]executor)\.js:\d+:\d+\)?$/;
/** Errors that are told at most of one that carries others along. */
const maxTold = 12;

/** Thrown inside to leave with an error that is already explained. */
export class Explained extends Error {
	readonly content: ErrorContent;

	constructor(content: ErrorContent) {
		super(content.evalue);
		this.content = content;
	}
}

/** Cells whose sources are kept: an error from a function of an older one shows compiled lines. */
const maxCells = 2000;
/** Their text in UTF-16 units; the newest is kept whatever its length. */
const maxLength = 1024 * 1024;

/** Remembers what recent cells were made from, and explains errors by it. */
export class ErrorExplainer {
	readonly #cells = new Map<string, CellSource>();
	#length = 0;
	readonly #files = new Map<string, CellSource>();
	readonly #folder: string;

	/** @param folder the notebook's, from which files are named */
	constructor(folder: string) {
		this.#folder = folder;
	}

	/**
	 * Notes a cell that is about to run.
	 *
	 * @param label how the cell is called in tracebacks
	 */
	add(label: string, code: string, script: CellScript): void {
		this.#cells.set(script.name, { label, lines: code.split("\n"), script });
		this.#length += code.length;
		for (const [name, { lines }] of this.#cells) {
			if (this.#cells.size <= (this.#length > maxLength ? 1 : maxCells)) break;
			this.#cells.delete(name);
			this.#length -= lines.join("\n").length;
		}
	}

	/** Notes a file that a cell imports. @param label how the file is called in tracebacks */
	addFile(label: string, { path, source, isCell, output, map }: LocalModule): void {
		const numLines = output.split("\n").length;
		const script = { name: path, offset: wrapperLength, numLines, linesBefore: isCell ? 1 : 0, sourceToOutput: map };
		this.#files.set(path, { label, lines: source.split("\n"), script, ...(!isCell && { path }) });
	}

	/** The cell or file that a script was made from. */
	source(name: string): { label: string; code: string; path?: string; script: CellScript } | undefined {
		const cell = this.#cells.get(name) ?? this.#files.get(name);
		if (!cell) return undefined;
		const { label, lines, path, script } = cell;
		return { label, code: lines.join("\n"), script, ...(path !== undefined && { path }) };
	}

	/** Explains a thrown value. */
	explain(thrown: unknown): ErrorContent {
		if (!isError(thrown)) {
			const text = textOfThrown(thrown);
			return { ename: "Thrown", evalue: text, traceback: [red(`Thrown: ${text}`)] };
		}
		const message = safeText(thrown, "message");
		const code = safeText(thrown, "code");
		const evalue = /^ERR_/.test(code) ? `[${code}] ${message}` : message;
		const traceback = this.#traceback(thrown, new Set());
		const hint = runtimeHint(message);
		if (hint !== undefined) traceback.push(dim(`Hint: ${hint}.`));
		return { ename: nameOf(thrown), evalue, traceback };
	}

	/** A text with stacks in it, such as a printed error: frames of cells in place, without the kernel's own behind them. */
	mapped(text: string): string {
		if (!text.includes(scriptPrefix)) return text;
		const out: string[] = [];
		let behindCell = false;
		for (const line of text.split("\n")) {
			// Node.js leaves out those that an error and its cause have in common: the kernel's are always among them.
			if (/^\s+\.\.\. \d+ lines matching cause stack trace \.\.\.$/.test(line)) continue;
			const [, indent, rest = "", tail = ""] = /^(\s+)(at .*?)((?: \{)?)$/.exec(line) ?? [];
			if (indent === undefined) {
				behindCell = false;
				out.push(line);
				continue;
			}
			const place = this.#place(` ${rest}`);
			behindCell ||= !place && (rest.includes(scriptPrefix) || ownFrame.test(rest));
			if (!behindCell) out.push(place ? `${indent}at ${shownFrame(rest, placeName(place))}${tail}` : line);
			else if (tail !== "" && out.length > 0) out[out.length - 1] += tail;
		}
		return out.join("\n");
	}

	/** Everything about an error: its stack, what brought it about and what it stands for. @param seen those told already */
	#traceback(error: Error, seen: Set<unknown>): string[] {
		seen.add(error);
		const code = safeText(error, "code");
		const title = /^ERR_/.test(code) ? `${nameOf(error)} [${code}]` : nameOf(error);
		const out = [`${red(title)}: ${safeText(error, "message")}`, ...this.#stack(safeText(error, "stack"))];
		const tell = (lead: string, value: unknown) => {
			if (seen.has(value) || seen.size >= maxTold) return;
			const [first, ...rest] = isError(value) ? this.#traceback(value, seen) : [textOfThrown(value)];
			out.push(`${dim(lead)} ${first}`, ...rest);
		};
		const { errors, more } = errorsOf(error);
		for (const [index, one] of errors.entries()) tell(`[${index + 1}]`, one);
		if (more > 0) out.push(dim(`… ${more} more`));
		const caused = causeOf(error);
		if (caused) tell("Caused by", caused.cause);
		return out;
	}

	/** The stack's frames; those of cells in place, the others folded, and the code around the innermost cell frame. */
	#stack(stack: string): string[] {
		const out: string[] = [];
		let folded = 0;
		let innermost: Place | undefined;
		let last: string | undefined;
		for (const line of stack.split("\n").filter((text) => /^\s+at /.test(text))) {
			const place = this.#place(line);
			const file = place ? undefined : userFrame(line, this.#folder);
			if (!place && !file) {
				folded++;
				continue;
			}
			if (folded > 0) out.push(dim(`    … ${folded} library frame${folded > 1 ? "s" : ""}`));
			folded = 0;
			innermost ??= place;
			const where = place ? placeName(place) : file!;
			const shown = `    at ${shownFrame(line.trim(), where, cyan)}`;
			if (shown !== last) out.push(shown);
			last = shown;
		}
		if (innermost) out.push(...frame(innermost.cell.lines, innermost.line, innermost.column, 1));
		else if (stack !== "" && folded > 0 && out.length === 0)
			out.push(dim(`    … ${folded} library frame${folded > 1 ? "s" : ""}`));
		return out;
	}

	#place(frameLine: string): Place | undefined {
		const match = /^\s+at (?:async )?(?:.*? \()?(.+?):(\d+):(\d+)\)?$/.exec(frameLine);
		const cell = match && (this.#cells.get(match[1]!) ?? this.#files.get(match[1]!));
		if (!cell) return undefined;
		const { script } = cell;
		let line = Number(match[2]) - 1;
		if (line >= script.numLines) return undefined;
		let column = Number(match[3]) - 1 - (line === 0 ? script.offset : 0);
		if (script.sourceToOutput !== undefined) {
			cell.map ??= new SourceMap(JSON.parse(script.sourceToOutput));
			const entry = cell.map.findEntry(line, Math.max(0, column));
			if ("originalLine" in entry) {
				line = entry.originalLine;
				column = entry.originalColumn;
			}
		}
		line += 1 - script.linesBefore;
		return { cell, line: Math.min(Math.max(line, 1), cell.lines.length), column: column + 1 };
	}
}

/** A frame's function and place. @param frameLine from `at` on */
function shownFrame(frameLine: string, where: string, paint = (text: string) => text): string {
	const name = /^at (?:async )?(?:Proxy\.|Object\.)?([^\s(]+) \(/.exec(frameLine)?.[1];
	return name && !/^(?:eval|<anonymous>)$/.test(name) ? `${name} (${paint(where)})` : paint(where);
}

function placeName({ cell, line, column }: Place): string {
	return `${cell.label}:${line}:${column}`;
}
