// Why a cell did not compile, as a notebook shows it: each error with its place and the code around it, whether it is in the
// cell or in a file that the cell imports.

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { ErrorContent } from "../protocol/messages.js";
import { dim, frame, red } from "./code-frame.js";
import { lineHint, nameHint, packageHint } from "./hints.js";

/** A TypeScript diagnostic; line and character count from 0. */
export interface Diagnostic {
	start: { line: number; character: number };
	end: { line: number; character: number };
	messageText: string;
	code: number;
	fileName?: string;
}

/** A cell that is refused. */
export interface RefusedCell {
	code: string;
	/** How tracebacks call it. */
	label: string;
	/** The notebook's folder, from which files are named. */
	folder: string;
}

/** Explains why a cell did not compile. @param diagnostics one or more */
export function explainDiagnostics(cell: RefusedCell, diagnostics: readonly Diagnostic[]): ErrorContent {
	const lines = cell.code.split("\n");
	const first = diagnostics[0]!;
	const isSyntax = diagnostics.every(({ code }) => code < 2000);
	const ename = isSyntax ? "SyntaxError" : "TypeScriptError";
	const place = (at: Diagnostic) => `${at.fileName ?? cell.label}:${at.start.line + 1}:${at.start.character + 1}`;
	const traceback = diagnostics.flatMap((diagnostic) => {
		const around = diagnostic.fileName === undefined ? lines : linesOf(resolve(cell.folder, diagnostic.fileName));
		const { line, character } = diagnostic.start;
		return [
			`${red(ename)} ${dim(`TS${diagnostic.code}`)}: ${diagnostic.messageText}`,
			dim(`    at ${place(diagnostic)}`),
			...(around ? frame(around, line + 1, character + 1, underlined(diagnostic)) : []),
		];
	});
	const hint = first.fileName === undefined ? hintOf(diagnostics, lines[first.start.line] ?? "") : undefined;
	if (hint !== undefined) traceback.push(dim(`Hint: ${hint}.`));
	return { ename, evalue: `${place(first)} - ${first.messageText}`, traceback };
}

function hintOf(diagnostics: readonly Diagnostic[], line: string): string | undefined {
	const { code, messageText } = diagnostics[0]!;
	const hints = [lineHint(line, code < 2000), nameHint(messageText, line)];
	const packages = diagnostics.map((diagnostic) => packageHint(diagnostic.messageText));
	return [...hints, ...packages].find((hint) => hint !== undefined);
}

/** The lines of a file; undefined for a cell that is a module, which lies nowhere. */
function linesOf(path: string): string[] | undefined {
	try {
		return readFileSync(path, "utf8").split(/\r?\n/);
	} catch {
		return undefined;
	}
}

/** Length to underline, in UTF-16 units; one line at most. */
function underlined({ start, end }: Diagnostic): number {
	return start.line === end.line ? Math.max(1, end.character - start.character) : 1;
}
