// What is asked about a cell that does not run: completions, the meaning of a name, whether it is complete. It sees what
// earlier cells have declared.

import type { Compiler } from "./compiler.js";
import { unlessTooDeep } from "./compiler-limits.js";
import type { Verdict } from "./is-complete.js";
import { describeCompletions, describeInfo } from "./language.js";
import { completePath } from "./paths.js";
import type { CompleteResult, InspectResult, IsCompleteResult } from "./protocol.js";
import type { Converter } from "./tslab-types.js";

/** What answers are made from. */
export interface LanguageParts {
	/** The notebook's folder. */
	folder: string;
	compiler: Compiler;
	converter: Converter;
	/** Gives the declarations of earlier cells. */
	declarations(): string;
	/** What tslab says of a cell's completeness. */
	verdict(code: string): Verdict;
}

/** Answers about cells. */
export class CellLanguage {
	readonly #parts: LanguageParts;

	constructor(parts: LanguageParts) {
		this.#parts = parts;
	}

	/** Completions at a position, in UTF-16 units. */
	complete(code: string, position: number): CompleteResult {
		const nothing = { start: position, end: position, matches: [] };
		return unlessTooDeep<CompleteResult>(
			() => this.#complete(code, position),
			() => nothing,
		);
	}

	#complete(code: string, position: number): CompleteResult {
		const { folder, compiler, converter, declarations } = this.#parts;
		const string = /["'`]/.test(code) ? compiler.stringAt(code, position) : undefined;
		const path = string && completePath(folder, string, position);
		if (path) return path;
		const found = describeCompletions(converter.complete(declarations(), code, position), code, position);
		const isKnown = found.matches.some(({ text }) => text.startsWith(code.slice(found.start, position)));
		return (isKnown ? undefined : compiler.importSnippets(code, position)) ?? found;
	}

	/** What is known of the name at a position, in UTF-16 units. */
	inspect(code: string, position: number): InspectResult {
		const inspect = (at: number) => this.#parts.converter.inspect(this.#parts.declarations(), code, at);
		// Right behind a name, or behind its opening bracket, the name is still what the user asks about.
		const ask = () => inspect(position) ?? inspect(Math.max(0, position - 1));
		return describeInfo(unlessTooDeep(ask, () => undefined));
	}

	/** Whether a cell can run as it stands. */
	isComplete(code: string): IsCompleteResult {
		const ask = () => this.#parts.compiler.isComplete(code, this.#parts.verdict(code));
		return unlessTooDeep(ask, () => ({ status: "invalid" }));
	}
}
