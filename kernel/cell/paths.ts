// Completion of file paths inside a cell's string literals, and of package names where the string is what is imported.

import { readdirSync } from "node:fs";
import { builtinModules } from "node:module";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { packageRoot } from "./packages.js";
import type { CompleteResult } from "./protocol.js";

/** A string literal around the cursor. */
export interface StringAt {
	/** Offset of its first character, in UTF-16 units. */
	start: number;
	/** Its text up to the cursor. */
	text: string;
	/** True where it names a module. */
	isModule: boolean;
}

/** Paths offered at most. */
const maxPaths = 500;

/**
 * Completes a path.
 *
 * @param position the cursor, in UTF-16 units
 * @returns undefined when the string is no path
 */
export function completePath(folder: string, { start, text, isModule }: StringAt, position: number) {
	const cut = text.lastIndexOf("/") + 1;
	const [above, begun] = [text.slice(0, cut), text.slice(cut)];
	const isFile = /^(?:\.{1,2}|~)?\//.test(text);
	if (!isFile && (!isModule || cut > 0)) return undefined;
	const found = isFile ? filesIn(homeExpanded(folder, above), isModule) : packageNames(folder);
	const matches = found.filter(({ text: name }) => name.startsWith(begun) && (begun !== "" || !name.startsWith(".")));
	return { start: start + cut, end: position, matches: matches.slice(0, maxPaths) } satisfies CompleteResult;
}

function homeExpanded(folder: string, path: string): string {
	if (path.startsWith("~/")) return join(homedir(), path.slice(2));
	return isAbsolute(path) ? path : join(folder, path);
}

/** Entries of a folder; modules lose the extension that an import leaves out. */
function filesIn(folder: string, isModule: boolean): CompleteResult["matches"] {
	const entries = entriesOf(folder).map((entry) => {
		if (entry.isDirectory()) return { text: `${entry.name}/`, type: "path" };
		return { text: isModule ? entry.name.replace(/(?:\.d)?\.tsx?$/, "") : entry.name, type: "path" };
	});
	return entries.sort((one, other) => one.text.localeCompare(other.text));
}

/** Packages that a cell can import. */
function packageNames(folder: string): CompleteResult["matches"] {
	const names = new Set(["octavo", ...builtinModules.filter((name) => !name.startsWith("_"))]);
	for (const home of [join(folder, "node_modules"), join(packageRoot, "node_modules")]) {
		for (const { name } of entriesOf(home)) {
			if (name.startsWith("@"))
				for (const { name: inner } of entriesOf(join(home, name))) names.add(`${name}/${inner}`);
			else if (!name.startsWith(".")) names.add(name);
		}
	}
	return [...names].sort().map((text) => ({ text, type: "module" }));
}

function entriesOf(folder: string) {
	try {
		return readdirSync(folder, { withFileTypes: true });
	} catch {
		return [];
	}
}
