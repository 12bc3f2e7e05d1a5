// Takes comm messages to the handlers of cells: in order, each once the running cell has come to an await. What a handler
// puts out before its own first await belongs to the message; what it throws is shown like any error nobody caught.

import type { CellContexts } from "./cell-context.js";
import type { CommRegistry } from "./comms.js";
import type { Interrupts } from "./interrupts.js";
import type { CommMessage, CommResult } from "./protocol.js";

/** Delivers the comm messages of the front end. */
export class CommDelivery {
	readonly #comms: CommRegistry;
	readonly #interrupts: Interrupts;
	readonly #contexts: CellContexts;
	readonly #show: (error: unknown) => void;
	readonly #waiting: (() => void)[] = [];

	/** @param show shows what a handler throws */
	constructor(comms: CommRegistry, interrupts: Interrupts, contexts: CellContexts, show: (error: unknown) => void) {
		this.#comms = comms;
		this.#interrupts = interrupts;
		this.#contexts = contexts;
		this.#show = show;
	}

	/**
	 * Hands on one message; settles when its handlers have.
	 *
	 * @param id of the request that brought it
	 */
	deliver(message: CommMessage, id: number): Promise<CommResult> {
		const event = this.#comms.take(message);
		return new Promise((resolve) => {
			this.#waiting.push(() => resolve(this.#comms.receive(message, event, (handler) => this.#call(handler, id))));
			if (this.#waiting.length === 1) this.#interrupts.whenYielded(this.#next);
		});
	}

	/** One at a time: the handler of an open stands before the message that follows. */
	readonly #next = (): void => {
		this.#waiting[0]!();
		this.#waiting.shift();
		if (this.#waiting.length > 0) this.#interrupts.whenYielded(this.#next);
	};

	async #call(handler: () => unknown, id: number): Promise<boolean> {
		const { parent } = this.#contexts;
		const leave = () => {
			parent.outbox.owner = parent.outbox.cells;
		};
		try {
			await this.#interrupts.user(() => {
				parent.outbox.owner = { request: id };
				try {
					return this.#contexts.run(parent, handler);
				} finally {
					leave();
				}
			});
			return true;
		} catch (error) {
			// A handler that was terminated has not run its finally.
			leave();
			this.#show(error);
			return false;
		}
	}
}
