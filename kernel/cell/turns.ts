// Calls functions of the kernel from the event loop, each in a callback of its own: a termination unwinds to the event loop.
// Not setImmediate, whose count a terminated callback leaves wrong, and the process would spin from then on.

import { MessageChannel, type MessagePort } from "node:worker_threads";

/** Called in the kernel's own state, which it gives up when it calls user code. @param wasUser what the state was before */
export type Turn = (wasUser: boolean) => void;

/** Functions to call, in their order. */
export class Turns {
	readonly #waiting: Turn[] = [];
	readonly #port: MessagePort;

	/** @param enter says that the kernel's own code runs; gives whether user code did */
	constructor(enter: () => boolean) {
		const { port1, port2 } = new MessageChannel();
		this.#port = port1;
		port2.on("message", () => {
			if (this.#waiting.length === 0) return;
			const wasUser = enter();
			const turn = this.#waiting.shift()!;
			this.wake();
			turn(wasUser);
		});
		port2.unref();
	}

	/** Calls a function in a callback of its own, behind those that wait. */
	next(turn: Turn): void {
		this.#waiting.push(turn);
		this.wake();
	}

	/** Makes sure that there is a callback for what waits: a termination may have ended the one that was meant for it. */
	wake(): void {
		if (this.#waiting.length > 0) this.#port.postMessage(null);
	}
}
