// Gives memory back while nothing is asked. V8 leaves what the last cells' checks dropped until it needs the room, which
// is some 50 MiB for each kernel that is only open.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Interrupts } from "./interrupts.js";

/** Time without a request after which memory is collected, in milliseconds. */
const idleMs = 1500;
/** Heap beyond which a collection would keep the next cell waiting, in bytes. */
const maxHeapBytes = 256 * 1024 * 1024;

/** Collects once after each busy time. */
export class IdleMemory {
	readonly #interrupts: Interrupts;
	#collect: (() => void) | undefined;
	#timer: NodeJS.Timeout | undefined;

	/** @param interrupts told when the kernel's own code runs */
	constructor(interrupts: Interrupts) {
		this.#interrupts = interrupts;
	}

	/** Says that something is asked, or has been answered: the idle time starts anew. */
	touch(): void {
		clearTimeout(this.#timer);
		this.#timer = setTimeout(() => this.#run(), idleMs).unref();
	}

	/** Says that a request runs: nothing is collected until {@link touch}. */
	hold(): void {
		clearTimeout(this.#timer);
	}

	#run(): void {
		if (process.memoryUsage().heapUsed > maxHeapBytes) return;
		if (!this.#collect) {
			setFlagsFromString("--expose-gc");
			this.#collect = runInNewContext("gc") as () => void;
			setFlagsFromString("--no-expose-gc");
		}
		this.#interrupts.enter();
		this.#collect();
		this.#interrupts.leave();
	}
}
