// What converted cells and the files that they import call: one global object that user code has no name for.

import { join } from "node:path";
import type { CellContexts } from "./cell-context.js";
import type { DebugTools } from "./debug-tools.js";
import { importMeta } from "./import-meta.js";
import { defaultOf, type Imports, namespaceOf } from "./imports.js";
import type { Interrupts } from "./interrupts.js";
import type { Variables } from "./variables.js";

/** What the helpers work on. */
export interface HelperParts {
	/** The notebook's folder. */
	folder: string;
	variables: Variables;
	imports: Imports;
	/** Keeps the value of a cell's last expression. */
	keep(id: number, value: unknown): void;
	/** The contexts of running cells. */
	contexts: CellContexts;
	interrupts: Interrupts;
	debug: DebugTools;
}

/** Makes the helpers, under the names that the compiler writes. */
export function makeHelpers({ folder, variables, imports, keep, contexts, interrupts, debug }: HelperParts): object {
	return {
		declare: (accessors: object) => variables.declare(accessors),
		defaultOf,
		namespaceOf,
		wait: (value: unknown) => interrupts.wait(value),
		iterate: (value: AsyncIterable<unknown>) => interrupts.iterate(value),
		import: (specifier: unknown, path?: string, options?: ImportCallOptions) =>
			imports.import(specifier, path, options),
		meta: (path = join(folder, "cell.ts")) => importMeta(path),
		use: <T>(value: T, asynchronous: boolean) => contexts.current.resources.use(value, asynchronous),
		keep,
		debug,
	};
}
