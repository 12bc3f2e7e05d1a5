// The texts that a debugger stops in, under the paths by which a front end knows them: a cell's is made of its hash, so
// that an edited cell is another source and a run cell is found again; a file's is its own. Every run of a cell is one
// more script with the same path.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { KnownSource } from "../cell/debug-tools.js";
import { packageRoot } from "../cell/packages.js";
import { LineMap, type Place } from "./line-map.js";
import { murmur2 } from "./murmur2.js";

/** Seed of the hash in cells' paths. */
export const hashSeed = 0xc70f6907;
/** What cells' paths end with. */
export const pathSuffix = ".ts";

const cellUrl = /^octavo-cell-\d+$/;
const octavoUrl = new URL(`file://${packageRoot}/`).href;
/** Scripts, by URL, that the debugger steps over and whose frames it leaves out. */
export const libraryPatterns = [
	"^$",
	"^node:",
	"^evalmachine",
	"/node_modules/",
	`^${octavoUrl.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}(dist|kernel|native)/`,
];
const libraries = libraryPatterns.map((pattern) => new RegExp(pattern));

/** A script of the worker that a user wrote. */
export interface Script {
	scriptId: string;
	url: string;
	path: string;
	/** How frames at its top level are called. */
	label: string;
	/** Present where the running text is not the source itself. */
	map?: LineMap;
}

/** Whether a script of this URL is a cell's. */
export function isCell(url: string): boolean {
	return cellUrl.test(url);
}

/** Whether a script of this URL is a file of the user's own. */
export function isUserFile(url: string): boolean {
	return url.startsWith("file:") && !libraries.some((pattern) => pattern.test(url));
}

/** Where a place in a script is in its source; undefined for code that its author did not write. */
export function toSource(script: Script, place: Place): Place | undefined {
	return script.map ? script.map.toSource(place) : place;
}

/** The sources of one kernel and the scripts that run of them. */
export class Sources {
	/** What cells' paths begin with. */
	readonly prefix = join(tmpdir(), `octavo-${process.pid}`, "cell-");
	readonly #texts = new Map<string, string>();
	readonly #scripts = new Map<string, Script>();
	#hasFolder = false;

	/** The path of a cell. */
	pathOf(code: string): string {
		return `${this.prefix}${murmur2(code, hashSeed)}${pathSuffix}`;
	}

	/** Writes a cell where its path says; the file goes with the kernel. */
	dump(code: string): string {
		const path = this.pathOf(code);
		const folder = join(this.prefix, "..");
		if (!this.#hasFolder) process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
		this.#hasFolder = true;
		mkdirSync(folder, { recursive: true, mode: 0o700 });
		writeFileSync(path, code);
		this.#texts.set(path, code);
		return path;
	}

	/** The text at a path: a cell, or a file; undefined when there is none. */
	text(path: string): string | undefined {
		const known = this.#texts.get(path);
		if (known !== undefined) return known;
		try {
			return readFileSync(path, "utf8");
		} catch {
			return undefined;
		}
	}

	/** Notes the script of a cell's run, or of a compiled file. */
	addMade(scriptId: string, { url, label, code, path: file, script }: KnownSource): Script {
		const path = file ?? this.pathOf(code);
		if (file === undefined && !this.#texts.has(path)) this.#texts.set(path, code);
		const added: Script = { scriptId, url, path, label };
		// The converter puts a line before a cell, and a wrapper stands before what runs.
		if (script.sourceToOutput !== undefined)
			added.map = LineMap.parse(script.sourceToOutput).shifted(script.offset, -script.linesBefore);
		this.#scripts.set(scriptId, added);
		return added;
	}

	/** Notes the script of a file. */
	addFile(scriptId: string, url: string): Script {
		const path = fileURLToPath(url.replace(/[?#].*$/, ""));
		const added: Script = { scriptId, url, path, label: path };
		this.#scripts.set(scriptId, added);
		return added;
	}

	/** A script by V8's number. */
	script(scriptId: string): Script | undefined {
		return this.#scripts.get(scriptId);
	}

	/** The scripts that were made of a path: every run of a cell, and the latest form of a file. */
	madeAt(path: string): Script[] {
		const made = [...this.#scripts.values()].filter((script) => script.path === path && script.map);
		return made.every(({ url }) => isCell(url)) ? made : made.slice(-1);
	}

	/** Every file that runs. */
	files(): Script[] {
		return [...this.#scripts.values()].filter(({ url }) => !isCell(url));
	}

	/** Forgets the scripts of a worker that ended. Texts stay. */
	forgetScripts(): void {
		this.#scripts.clear();
	}
}
