// Whether a cell can run as it stands. tslab says what open brackets want; the parser, whether what is wrong may be mended
// by more input.

import type TypeScript from "typescript";
import type { IsCompleteResult } from "./protocol.js";

/** What tslab says of a cell. */
export interface Verdict {
	completed: boolean;
	/** Blanks that the next line begins with. */
	indent?: string;
}

/** Errors that more input may mend: an open comment, an open template literal, and what the parser still expects. */
const openEnded = new Set([1005, 1010, 1109, 1160]);
const prefix = "export {};\n";

/** Answers an is_complete request. */
export function isComplete(ts: typeof TypeScript, code: string, { completed, indent = "" }: Verdict): IsCompleteResult {
	// Blanks alone: tslab takes a byte order mark for one.
	if (!completed) return { status: "incomplete", indent: indent.replace(/[^ \t]/g, "") };
	// An interpreter's line says nothing to a cell.
	const parsed = ts.createSourceFile("cell.ts", prefix + code.replace(/^#!/, "//"), ts.ScriptTarget.ES2022);
	const [error] = (parsed as unknown as { parseDiagnostics: TypeScript.DiagnosticWithLocation[] }).parseDiagnostics;
	if (!error) return { status: "complete" };
	const atEnd = error.start >= prefix.length + code.trimEnd().length;
	return atEnd && openEnded.has(error.code) ? { status: "incomplete", indent: "" } : { status: "invalid" };
}
