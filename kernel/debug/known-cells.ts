// Cells that ran before the debugger came: V8 lists their scripts, and the worker knows what they were made of.

import type { DebugSource } from "../cell/debug-tools.js";
import type { Inspector } from "./inspector.js";
import { isCell, type Sources } from "./sources.js";
import { callTools } from "./stop.js";

/**
 * Notes the sources of cells that ran.
 *
 * @param known URL and V8's number of each script, by turns; of two with one URL the later counts
 */
export async function noteCells(inspector: Inspector, sources: Sources, known: readonly string[]): Promise<void> {
	const ids = new Map<string, string>();
	for (let i = 0; i < known.length; i += 2) ids.set(known[i]!, known[i + 1]!);
	const names = [...ids.keys()].filter(isCell);
	if (names.length === 0) return;
	for (const source of await callTools<DebugSource[]>(inspector, "sources", [{ value: names }])) {
		sources.addCell(ids.get(source.script.name)!, source);
	}
}
