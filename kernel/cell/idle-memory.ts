// Gives memory back while nothing is asked. V8 leaves what the last cells' checks dropped until it needs the room, and
// keeps all of the space for new objects: some 80 MiB for each kernel that is only open.

import { getHeapStatistics } from "node:v8";

/** Time without a request after which memory is collected, in milliseconds. */
const idleMs = 1500;
/** Heap beyond which a collection would keep the next cell waiting, in bytes: it takes 2.5 ms a MiB. */
const maxHeapBytes = 192 * 1024 * 1024;
/** Growth since the last collection that is worth another, in bytes: the cells after one are a few milliseconds slower. */
const minGrownBytes = 16 * 1024 * 1024;

/** Has memory collected once after each busy time. */
export class IdleMemory {
	readonly #collect: () => void;
	#timer: NodeJS.Timeout | undefined;
	#collected = false;
	/** Resident memory after the last collection, in bytes. */
	#leftBytes = 0;

	/** @param collect has memory collected, soon */
	constructor(collect: () => void) {
		this.#collect = collect;
	}

	/** Says that something is asked, or has been answered: the idle time starts anew. */
	touch(): void {
		clearTimeout(this.#timer);
		this.#timer = setTimeout(() => this.#run(), idleMs).unref();
	}

	/** Says that a request runs: nothing is collected until {@link touch}. */
	hold(): void {
		clearTimeout(this.#timer);
		if (this.#collected) this.#leftBytes = process.memoryUsage.rss();
		this.#collected = false;
	}

	#run(): void {
		if (getHeapStatistics().used_heap_size > maxHeapBytes) return;
		if (process.memoryUsage.rss() < this.#leftBytes + minGrownBytes) return;
		this.#collected = true;
		this.#collect();
	}
}
