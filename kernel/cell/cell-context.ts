// Which shell's cell the running code belongs to: where its output goes, what it disposes of, whom it asks. Code of the parent
// shell has no context of its own. For subshells Node.js keeps one over awaits and timers, and each promise costs more from
// then on: it does so only once a cell of a subshell has run.

import { AsyncLocalStorage } from "node:async_hooks";
import { CellResources } from "./disposables.js";
import type { Outbox } from "./outbox.js";

/** What belongs to the cell of one shell. */
export class CellContext {
	readonly outbox: Outbox;
	/** What the cell declares with `using`. */
	readonly resources = new CellResources();
	/** What tells the cell from others in the front end; empty before the first. */
	cell = "";
	/** Whether its front end takes questions; undefined while no cell runs. */
	takesQuestions: boolean | undefined;

	constructor(outbox: Outbox) {
		this.outbox = outbox;
	}
}

/** The contexts of all shells. */
export class CellContexts {
	/** That of the parent shell, and of what no subshell started. */
	readonly parent: CellContext;
	readonly #makeOutbox: (shell: string | undefined) => Outbox;
	#storage: AsyncLocalStorage<CellContext> | undefined;

	/** @param makeOutbox makes the output of a shell's cell; the parent's has no id */
	constructor(makeOutbox: (shell: string | undefined) => Outbox) {
		this.#makeOutbox = makeOutbox;
		this.parent = new CellContext(makeOutbox(undefined));
	}

	/** The context of the code that runs now. */
	get current(): CellContext {
		return this.#storage?.getStore() ?? this.parent;
	}

	/**
	 * The context of a shell's next cell: the parent's, or a new one.
	 *
	 * @param cell what tells it from others in the front end
	 */
	begin(shell: string | undefined, cell: string, takesQuestions: boolean): CellContext {
		const context = shell === undefined ? this.parent : new CellContext(this.#makeOutbox(shell));
		return Object.assign(context, { cell, takesQuestions });
	}

	/** Calls a function in a context, in which everything stays that it starts. */
	run<T>(context: CellContext, call: () => T): T {
		if (context !== this.parent) this.#storage ??= new AsyncLocalStorage();
		// The parent's too: what a termination ended may have left its context behind.
		return this.#storage ? this.#storage.run(context, call) : call();
	}
}
