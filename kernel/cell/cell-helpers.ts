// What converted cells and the files that they import call: one global object that user code has no name for.

import { join } from "node:path";
import type { DebugTools } from "./debug-tools.js";
import type { CellResources } from "./disposables.js";
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
	resources: CellResources;
	interrupts: Interrupts;
	debug: DebugTools;
}

/** Makes the helpers, under the names that the compiler writes. */
export function makeHelpers({ folder, variables, imports, resources, interrupts, debug }: HelperParts): object {
	return {
		declare: (accessors: object) => variables.declare(accessors),
		defaultOf,
		namespaceOf,
		wait: (value: unknown) => interrupts.wait(value),
		iterate: (value: AsyncIterable<unknown>) => interrupts.iterate(value),
		import: (specifier: unknown, path?: string, options?: ImportCallOptions) =>
			imports.import(specifier, path, options),
		meta: (path = join(folder, "cell.ts")) => importMeta(path),
		use: <T>(value: T, asynchronous: boolean) => resources.use(value, asynchronous),
		debug,
	};
}
