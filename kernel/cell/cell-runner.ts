// tslab's executor as it is used here: it runs what has been converted already, under a name of its own for each cell, and
// what a cell throws is thrown on.

import { createRequire } from "node:module";
import vm from "node:vm";
import { compileOnce } from "./compile-once.js";
import type { Module } from "./imports.js";
import type { Converted, Executor } from "./tslab-types.js";

/** What tslab's executor gives to every cell. */
export interface ExecutorScope {
	exports: object;
	require(id: string): Module;
}

/** Runs converted cells, one at a time. */
export class CellRunner {
	/** What cells see as `exports` and `require`. */
	readonly scope: ExecutorScope;
	readonly #executor: Executor;
	#prepared: Converted | undefined;
	#scriptName = "";
	#thrown: { value: unknown } | undefined;

	/**
	 * @param folder the notebook's folder
	 * @param scope that of another runner, whose cells run beside those of this one; default new
	 */
	constructor(folder: string, scope?: ExecutorScope) {
		const { createExecutor } = createRequire(import.meta.url)("tslab/dist/executor.js");
		const prepared = { convert: () => this.#prepared ?? { diagnostics: [] } };
		this.#executor = createExecutor(
			folder,
			{ node: prepared, browser: prepared, close() {} },
			{
				log() {},
				error: (value: unknown) => {
					this.#thrown = { value };
				},
			},
		);
		const holder = globalThis as unknown as { __tslab__: ExecutorScope };
		if (scope) holder.__tslab__ = scope;
		this.scope = holder.__tslab__;
	}

	/** Runs a converted cell. @param name the script's */
	async run(name: string, { lastExpressionVar: _, ...converted }: Converted): Promise<void> {
		this.#scriptName = name;
		// The debugger is told of a script before it runs if it names a source map; which one does not matter.
		this.#prepared = { ...converted, output: `${converted.output ?? ""}\n//# sourceMappingURL=octavo:${name}` };
		await this.#execute();
	}

	/** Lets go of the cell that ran, however it ended: tslab keeps one promise to wait for too, to which each would add. */
	letGo(): void {
		this.#prepared = undefined;
		this.#executor.interrupt();
	}

	async #execute(): Promise<void> {
		this.#thrown = undefined;
		// tslab asks for breakOnSigint, which starts a thread a cell (1 ms); interrupts come another way here. It also gives
		// the script no name. Put back before the cell's own code runs.
		const runInThisContext = vm.runInThisContext;
		vm.runInThisContext = (text: string) => {
			vm.runInThisContext = runInThisContext;
			return compileOnce(text, this.#scriptName).runInThisContext();
		};
		try {
			// In what is converted already it looks for nothing but tags such as @browser, which mean nothing here.
			await this.#executor.execute("");
		} finally {
			vm.runInThisContext = runInThisContext;
		}
		const thrown = this.#thrown as { value: unknown } | undefined;
		if (thrown) throw thrown.value;
	}
}
