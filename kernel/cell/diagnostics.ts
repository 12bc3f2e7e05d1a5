// An error of TypeScript in the words that tslab has for it.

import { basename } from "node:path";
import type TypeScript from "typescript";
import type { Diagnostic } from "./errors.js";

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
		return { line: line - (inCell ? 1 : 0), character };
	};
	const messageText = ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n");
	const described = { start: place(start), end: place(start + length), messageText, code };
	return [inCell ? described : { ...described, fileName: basename(file.fileName) }];
}
