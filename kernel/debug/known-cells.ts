// What ran before the debugger came: V8 lists the scripts, and the worker knows what those of cells and of compiled files
// were made of.

import type { KnownSource } from "../cell/debug-tools.js";
import type { Inspector } from "./inspector.js";
import { isCell, isUserFile, type Sources } from "./sources.js";
import { callTools } from "./stop.js";

/**
 * Notes the sources of cells and files that ran.
 *
 * @param known URL and V8's number of each script, by turns; of two with one URL the later counts
 */
export async function noteCells(inspector: Inspector, sources: Sources, known: readonly string[]): Promise<void> {
	const ids = new Map<string, string>();
	for (let i = 0; i < known.length; i += 2) ids.set(known[i]!, known[i + 1]!);
	const names = [...ids.keys()].filter((url) => isCell(url) || isUserFile(url));
	if (names.length === 0) return;
	for (const source of await callTools<KnownSource[]>(inspector, "sources", [{ value: names }])) {
		sources.addMade(ids.get(source.url)!, source);
	}
}
