// Breakpoints by source path. A cell that runs again is a new script, so what a front end sets once is bound to each
// script as it arrives, before it runs. Conditions, hit counts and log messages become one expression that V8 evaluates.

import { pathToFileURL } from "node:url";
import type { Inspector } from "./inspector.js";
import { isCell, type Script, type Sources, toSource } from "./sources.js";
import { callTools } from "./stop.js";

/** A breakpoint as a front end asks for it; line and column from 1. */
export interface Wanted {
	line: number;
	column?: number;
	/** Stop only where this is true. */
	condition?: string;
	/** Stop only at hits that this describes, such as `5`, `>= 5` or `% 2`. */
	hitCondition?: string;
	/** Do not stop: print this, with expressions in braces. */
	logMessage?: string;
}

/** A breakpoint as the protocol shows it. */
export interface Breakpoint {
	id: number;
	verified: boolean;
	line: number;
	column?: number;
	source: { path: string };
	/** Why it is not verified. */
	message?: string;
}

interface Kept {
	wanted: Wanted;
	shown: Breakpoint;
	/** V8's numbers of it, one a script. */
	bound: string[];
}

interface Location {
	scriptId: string;
	lineNumber: number;
	columnNumber?: number;
}

/** Where the worker keeps what conditions call. */
const tools = "globalThis.__octavo__.debug";

/** All breakpoints of one debugging session. */
export class Breakpoints {
	readonly #inspector: Inspector;
	readonly #sources: Sources;
	readonly #changed: (breakpoint: Breakpoint) => void;
	readonly #byPath = new Map<string, Kept[]>();
	#nextId = 1;

	/** @param changed told when one turns out to be at another line than it was asked for */
	constructor(inspector: Inspector, sources: Sources, changed: (breakpoint: Breakpoint) => void) {
		this.#inspector = inspector;
		this.#sources = sources;
		this.#changed = changed;
	}

	/** Replaces the breakpoints of a path. @param attached whether they can be bound now */
	async set(path: string, wanted: readonly Wanted[], attached: boolean): Promise<Breakpoint[]> {
		const old = this.#byPath.get(path) ?? [];
		const numLines = this.#sources.text(path)?.split("\n").length;
		const fresh = wanted.map((one): Kept => {
			const { line, column } = one;
			const message =
				numLines === undefined
					? `Expected the path of a cell or a file but received ${path}`
					: line > numLines
						? `Expected a line from 1 to ${numLines} but received ${line}`
						: hitTest(one.hitCondition) === undefined
							? `Expected a hit condition such as 5, >= 5 or % 2 but received ${one.hitCondition}`
							: undefined;
			const shown: Breakpoint = { id: this.#nextId++, verified: message === undefined, line, source: { path } };
			if (column !== undefined) shown.column = column;
			if (message !== undefined) shown.message = message;
			return { wanted: one, shown, bound: [] };
		});
		this.#byPath.set(path, fresh);
		if (!attached) return fresh.map(({ shown }) => shown);
		for (const breakpointId of old.flatMap(({ bound }) => bound)) {
			await this.#inspector.post("Debugger.removeBreakpoint", { breakpointId });
		}
		for (const kept of fresh) await this.#checkExpressions(kept);
		const made = this.#sources.madeAt(path);
		for (const script of made) await this.#bind(script, fresh, false);
		if (made.length === 0 && this.#runsAsWritten(path)) await this.#bindFile(path, fresh, false);
		return fresh.map(({ shown }) => ({ ...shown }));
	}

	/** Binds what waits for a script; called before it runs. */
	async arrive(script: Script): Promise<void> {
		const waiting = this.#byPath.get(script.path) ?? [];
		// A JavaScript file that a cell imports is compiled as well: its lines are not those that were asked for.
		for (const breakpointId of isCell(script.url) ? [] : waiting.flatMap(({ bound }) => bound.splice(0))) {
			await this.#inspector.post("Debugger.removeBreakpoint", { breakpointId });
		}
		await this.#bind(script, waiting, true);
	}

	/** Binds everything to a new worker, whose cells have not arrived. */
	async bindAgain(): Promise<void> {
		for (const [path, all] of this.#byPath) {
			for (const kept of all) kept.bound = [];
			const made = this.#sources.madeAt(path);
			for (const script of made) await this.#bind(script, all, true);
			if (made.length === 0 && this.#runsAsWritten(path)) await this.#bindFile(path, all, true);
		}
	}

	/** The breakpoints by path, as they were asked for. */
	list(): { source: string; breakpoints: (Wanted & { verified: boolean; id: number })[] }[] {
		return [...this.#byPath]
			.filter(([, all]) => all.length > 0)
			.map(([source, all]) => ({
				source,
				breakpoints: all.map(({ wanted, shown }) => ({
					...wanted,
					line: shown.line,
					verified: shown.verified,
					id: shown.id,
				})),
			}));
	}

	/** The numbers of breakpoints that V8 says were hit. */
	hit(numbers: readonly string[]): number[] {
		const all = [...this.#byPath.values()].flat();
		return all.filter(({ bound }) => bound.some((id) => numbers.includes(id))).map(({ shown }) => shown.id);
	}

	/** Forgets all of them; V8's go with the session. */
	clear(): void {
		this.#byPath.clear();
	}

	/** Whether a file may run without having been compiled. */
	#runsAsWritten(path: string): boolean {
		return !path.startsWith(this.#sources.prefix) && !/\.[cm]?tsx?$/.test(path);
	}

	async #checkExpressions(kept: Kept): Promise<void> {
		const expression = condition(kept.wanted, kept.shown.id);
		if (expression === undefined || !kept.shown.verified) return;
		const error = await callTools<string>(this.#inspector, "syntaxError", [{ value: expression }]);
		if (error === "") return;
		kept.shown.verified = false;
		const came = kept.wanted.logMessage ?? kept.wanted.condition;
		kept.shown.message = `Expected an expression but received ${came}: ${error}`;
	}

	async #bind(script: Script, all: readonly Kept[], tell: boolean): Promise<void> {
		for (const kept of all) {
			if (!kept.shown.verified) continue;
			const { line, column } = kept.wanted;
			const at = script.map?.toGenerated(line - 1, column === undefined ? undefined : column - 1);
			if (!at) continue;
			const location = { scriptId: script.scriptId, lineNumber: at.line, columnNumber: at.column };
			const test = condition(kept.wanted, kept.shown.id);
			try {
				const set = await this.#inspector.post<{ breakpointId: string; actualLocation: Location }>(
					"Debugger.setBreakpoint",
					{ location, ...(test !== undefined && { condition: test }) },
				);
				kept.bound.push(set.breakpointId);
				this.#place(kept, script, set.actualLocation, tell);
			} catch {
				// Behind the last place at which V8 can stop, or where another breakpoint already is.
			}
		}
	}

	async #bindFile(path: string, all: readonly Kept[], tell: boolean): Promise<void> {
		const url = pathToFileURL(path).href.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
		for (const kept of all) {
			if (!kept.shown.verified) continue;
			const { line, column } = kept.wanted;
			const test = condition(kept.wanted, kept.shown.id);
			const set = await this.#inspector.post<{ breakpointId: string; locations: Location[] }>(
				"Debugger.setBreakpointByUrl",
				{
					urlRegex: `^${url}([?#].*)?$`,
					lineNumber: line - 1,
					...(column !== undefined && { columnNumber: column - 1 }),
					...(test !== undefined && { condition: test }),
				},
			);
			kept.bound.push(set.breakpointId);
			const [first] = set.locations;
			const script = first && this.#sources.script(first.scriptId);
			if (script) this.#place(kept, script, first, tell);
		}
	}

	/** Moves a breakpoint to where V8 really stops. */
	#place({ shown, wanted }: Kept, script: Script, { lineNumber, columnNumber }: Location, tell: boolean): void {
		const source = toSource(script, { line: lineNumber, column: columnNumber ?? 0 });
		if (!source || source.line + 1 === shown.line) return;
		shown.line = source.line + 1;
		if (wanted.column !== undefined) shown.column = source.column + 1;
		if (tell) this.#changed({ ...shown });
	}
}

/** The test of a hit count; an empty one where every hit counts, undefined for what is no hit condition. */
function hitTest(text: string | undefined): string | undefined {
	if (text === undefined || text.trim() === "") return "";
	const [, operator = "===", number] = /^\s*(>=|<=|===?|>|<|%)?\s*(\d+)\s*$/.exec(text) ?? [];
	if (number === undefined) return undefined;
	return operator === "%" ? `% ${number} === 0` : `${operator} ${number}`;
}

/** The expression that says whether V8 stops; undefined where it always does. */
function condition({ condition: text, hitCondition, logMessage }: Wanted, id: number): string | undefined {
	const hits = hitTest(hitCondition) ?? "";
	const wanted = text?.trim() ? `(${text}\n)` : "true";
	if (wanted === "true" && hits === "" && logMessage === undefined) return undefined;
	const counted = hits === "" ? wanted : `${wanted} && ${tools}.hit("${id}") ${hits}`;
	const parts = (logMessage ?? "").split(/\{([^{}]+)\}/);
	const printed = parts.map((part, i) => (i % 2 === 0 ? JSON.stringify(part) : `${tools}.text((${part}\n))`));
	const answer = logMessage === undefined ? counted : `${counted} && console.log([${printed.join(", ")}].join(""))`;
	return `try { !!(${answer}) } catch (error) { ${tools}.complain("${id}", error); false }`;
}
