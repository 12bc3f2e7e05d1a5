// Where the imports of the cell and of earlier cells' declarations lead: found out by the program that was built with them, and
// given to the texts that take their place.

import type TypeScript from "typescript";
import { resolutionOf } from "./source-imports.js";

/** A source file with the fields that TypeScript keeps to itself. */
export type Source = TypeScript.SourceFile & {
	path: string;
	resolvedPath: string;
	originalFileName: string;
	imports: TypeScript.StringLiteralLike[];
};

/** Where an import leads; kept by TypeScript for each file by its path. */
type Resolution = { resolvedModule: TypeScript.ResolvedModule | undefined };
type ResolutionCache = { set(name: string, mode: TypeScript.ResolutionMode, found: Resolution): void };
type Resolved = { resolvedModules?: Map<string, ResolutionCache> };

/** The imports that a program has resolved. */
export class Resolutions {
	readonly #ts: typeof TypeScript;
	readonly #options: TypeScript.CompilerOptions;
	readonly #found = new Map<string, Resolution>();

	constructor(ts: typeof TypeScript, options: TypeScript.CompilerOptions) {
		this.#ts = ts;
		this.#options = options;
	}

	/** Forgets all. */
	clear(): void {
		this.#found.clear();
	}

	/** Whether it is known where an import leads. */
	has(file: Source, name: TypeScript.StringLiteralLike): boolean {
		return this.#found.has(this.#key(file, name));
	}

	/** Takes over what a new program has found for a file. */
	take(program: TypeScript.Program, file: Source): void {
		for (const name of file.imports) {
			const found = resolutionOf(program, name, file);
			if (found?.resolvedModule) this.#found.set(this.#key(file, name), found);
		}
	}

	/** Gives a program the resolutions of a file under its path. @param before the path of the text that it replaces */
	give(program: TypeScript.Program, file: Source, before: string): void {
		const { resolvedModules } = program as unknown as Resolved;
		const make = (this.#ts as unknown as { createModeAwareCache(): ResolutionCache }).createModeAwareCache;
		const cache = make();
		for (const name of file.imports) {
			const mode = this.#ts.getModeForUsageLocation(file, name, this.#options);
			cache.set(name.text, mode, this.#found.get(this.#key(file, name)) ?? { resolvedModule: undefined });
		}
		resolvedModules?.delete(before);
		resolvedModules?.set(file.path, cache);
	}

	/** An import by its name and by how it is written, which decides among a package's forms. */
	#key(file: Source, name: TypeScript.StringLiteralLike): string {
		return `${this.#ts.getModeForUsageLocation(file, name, this.#options)} ${name.text}`;
	}
}
