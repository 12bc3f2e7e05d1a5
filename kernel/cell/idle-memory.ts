// Gives memory back while nothing is asked. V8 leaves what the last cells' checks dropped until it needs the room, and
// keeps all of the space for new objects: some 80 MiB for each kernel that is only open. Buffers leave memory in lanes, and
// with malloc.

import { getHeapStatistics } from "node:v8";

/** Time without a request after which memory is collected, in milliseconds. */
const idleMs = 1500;
/** Heap beyond which a collection would keep the next cell waiting, in bytes: it takes 2.5 ms a MiB. */
const maxHeapBytes = 192 * 1024 * 1024;
/** Growth since the last collection that is worth another, in bytes: the cells after one are a few milliseconds slower. */
const minGrownBytes = 16 * 1024 * 1024;
/** Time from a collection to when what it dropped has been freed, in milliseconds. */
const freedMs = 300;
/** Has memory collected once after each busy time. */
export class IdleMemory {
	readonly #collect: () => void;
	readonly #giveBack: () => void;
	#timer: NodeJS.Timeout | undefined;
	/** Requests that run. */
	#numHeld = 0;
	#collected = false;
	/** Resident memory after the last collection, in bytes. */
	#leftBytes = 0;

	/**
	 * @param collect has memory collected, soon
	 * @param giveBack gives back what has been freed
	 */
	constructor(collect: () => void, giveBack: () => void) {
		this.#collect = collect;
		this.#giveBack = giveBack;
	}

	/** Says that something is asked, or has been answered: the idle time starts anew, unless another request runs. */
	touch(): void {
		if (this.#numHeld > 0) this.#numHeld--;
		this.passed();
	}

	/** Says that a message came, which does not end what {@link hold} began. */
	passed(): void {
		if (this.#numHeld === 0) this.#wait();
	}

	/** Says that a request runs: nothing is collected until as many calls of {@link touch}. */
	hold(): void {
		this.#numHeld++;
		this.#begin();
	}

	#wait(): void {
		this.#begin();
		this.#timer = setTimeout(() => this.#run(), idleMs).unref();
	}

	#begin(): void {
		clearTimeout(this.#timer);
		if (this.#collected) this.#leftBytes = process.memoryUsage.rss();
		this.#collected = false;
	}

	#run(): void {
		if (process.memoryUsage.rss() < this.#leftBytes + minGrownBytes) return;
		if (getHeapStatistics().used_heap_size <= maxHeapBytes) {
			this.#collected = true;
			this.#collect();
		}
		this.#timer = setTimeout(this.#giveBack, freedMs).unref();
	}
}
