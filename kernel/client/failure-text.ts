// A failed cell as a terminal shows it: which cell, its source with the line marked, the traceback.

import { stripVTControlCharacters } from "node:util";
import type { CellFailure } from "./run-notebook.js";

/** How the notebook's file and colours enter the text. */
export interface FailureTextOptions {
	path: string;
	/** Whether ANSI colours may be used. */
	colors: boolean;
}

const maxSourceLines = 40;

/** Gives the text. */
export function failureText(failure: CellFailure, { path, colors }: FailureTextOptions): string {
	const paint = (code: number, text: string) => (colors ? `\u001b[${code}m${text}\u001b[0m` : text);
	const lines = failure.cell.source.replace(/\n$/, "").split("\n");
	const marked = markedLine(failure, lines.length);
	const start = Math.max(0, Math.min((marked ?? 1) - 1 - maxSourceLines / 2, lines.length - maxSourceLines));
	const width = String(lines.length).length;
	const source = lines.slice(start, start + maxSourceLines).map((line, i) => {
		const number = start + i + 1;
		const text = `${number === marked ? ">" : " "} ${String(number).padStart(width)} | ${line}`;
		return number === marked ? paint(31, text) : text;
	});
	const traceback = failure.traceback.join("\n");
	return [
		paint(31, `${path}: cell ${failure.number} failed: ${failure.ename}${failure.evalue ? `: ${failure.evalue}` : ""}`),
		"",
		...source,
		...(traceback === "" ? [] : ["", colors ? traceback : stripVTControlCharacters(traceback)]),
	].join("\n");
}

/** Finds the line of the cell that a traceback speaks of, counting from 1; undefined when it names none. */
function markedLine(failure: CellFailure, numLines: number): number | undefined {
	const text = stripVTControlCharacters(failure.traceback.join("\n"));
	const match = /cell \[\d+\]:(\d+):\d+/.exec(text) ?? /Cell In ?\[\d+\], line (\d+)/.exec(text);
	const line = match ? Number(match[1]) : Number.NaN;
	return line >= 1 && line <= numLines ? line : undefined;
}
