// Errors of TypeScript: in the words that tslab has for them, and those that keep a cell from being read at all.

import { dirname, relative } from "node:path";
import type TypeScript from "typescript";
import { linesBefore } from "./local-modules.js";
import type { Diagnostic } from "./refusal.js";

/**
 * TypeScript's errors that are none here: a file above the notebook's folder, since nothing is written anywhere; a flag
 * of a regular expression, which Node.js knows earlier than the language version that is compiled for; an import with the
 * ending `.ts`, since what runs finds it.
 */
const noErrors = new Set([6059, 1501, 5097]);
const noSuchModule = 2307;

/** Whether a diagnostic is an error of a cell. No file has the name of a URL, which Node.js imports all the same. */
export function isError({ code, file, start = 0 }: TypeScript.Diagnostic): boolean {
	if (noErrors.has(code)) return false;
	return code !== noSuchModule || !/^["'`](?:data|file):/.test(file?.text.slice(start, start + 6) ?? "");
}

/** Describes an error of a cell as tslab does; the cell lies one line below tslab's prefix. */
export function describeDiagnostic(
	ts: typeof TypeScript,
	diagnostic: TypeScript.Diagnostic,
	cell: string,
): Diagnostic[] {
	const { file, start = 0, length = 0, code } = diagnostic;
	if (!file) return [];
	const inCell = file.fileName === cell;
	const place = (offset: number) => {
		const { line, character } = file.getLineAndCharacterOfPosition(offset);
		return { line: line - (inCell ? 1 : linesBefore(ts, file)), character };
	};
	const messageText = ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n");
	const described = { start: place(start), end: place(start + length), messageText, code };
	return [inCell ? described : { ...described, fileName: relative(dirname(cell), file.fileName) }];
}

/** What tslab puts behind a cell that declares names. */
const suffix = /\nexport \{[^{}]*\}$/;

/**
 * Errors for which a cell cannot be read, at places within what its author wrote. What comes of them is left out: the
 * rest of such a cell is misunderstood, and a bracket that stays open takes in what tslab puts behind the cell.
 */
export function parseErrors(ts: typeof TypeScript, cell: TypeScript.SourceFile): readonly TypeScript.Diagnostic[] {
	const errorsOf = (file: TypeScript.SourceFile) =>
		(file as unknown as { parseDiagnostics: TypeScript.DiagnosticWithLocation[] }).parseDiagnostics;
	if (errorsOf(cell).length === 0) return [];
	return errorsOf(ts.createSourceFile(cell.fileName, cell.text.replace(suffix, ""), cell.languageVersion));
}
