// The front process's ends of the lanes to and from one worker. Memory that large buffers have taken on their way through
// this process goes back to the system once none has come for a while; until then it waits for the next one.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type LaneRange, LaneReader, LaneWriter, openLane } from "./buffer-lane.js";
import type { SentContent } from "./content.js";
import { giveBackFreed } from "./lane-file.js";

/** Bytes of one message after which memory is given back. */
const largeBytes = 4 * 1024 * 1024;
/** Time after the last such message, in milliseconds. */
const idleMs = 2000;
/** Time from a collection to when what it dropped has been freed, in milliseconds. */
const freedMs = 200;

/** New lanes; a worker that is started again gets others. */
export class FrontLanes {
	readonly #files = { toWorker: openLane(), toFront: openLane(), contents: openLane() };
	readonly #toWorker = new LaneWriter(this.#files.toWorker, false);
	readonly #toFront = new LaneReader(this.#files.toFront);
	readonly #contents = new LaneReader(this.#files.contents);
	#timer: NodeJS.Timeout | undefined;

	/** Descriptors that the worker inherits. */
	get files(): { toWorker: number; toFront: number; contents: number } {
		return this.#files;
	}

	/** Copies buffers to where the worker can read them. */
	write(buffers: readonly ArrayBufferView[]): LaneRange {
		this.#passed(buffers);
		return this.#toWorker.write(buffers);
	}

	/** Leaves the worker a text that it looks for while it blocks. */
	leaveNote(id: number, text: string): void {
		this.#toWorker.leaveNote(id, text);
	}

	/** Copies out buffers that an event of the worker names. @throws {OctavoError} ERR_OCTAVO_LANE when they are not there */
	read(range: LaneRange): Buffer[] {
		return this.#passed(this.#toFront.read(range));
	}

	/**
	 * Gives the content of an output's message; that of a large one as JSON bytes. To be read in the order of the events.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_LANE when it is not there
	 */
	readContent(content: SentContent): Record<string, unknown> | Buffer {
		return "range" in content ? this.#passed(this.#contents.read(content.range))[0]! : content.inline;
	}

	/** Closes this process's descriptors. */
	close(): void {
		for (const end of [this.#toWorker, this.#toFront, this.#contents]) end.close();
	}

	#passed<T extends readonly ArrayBufferView[]>(buffers: T): T {
		if (buffers.reduce((sum, { byteLength }) => sum + byteLength, 0) >= largeBytes) {
			clearTimeout(this.#timer);
			this.#timer = setTimeout(() => this.#rest(), idleMs).unref();
		}
		return buffers;
	}

	#rest(): void {
		this.#toWorker.rest();
		// What ZeroMQ received is freed with the Buffer over it, which V8 has no reason to collect while nothing happens.
		setFlagsFromString("--expose-gc");
		(runInNewContext("gc") as () => void)();
		setTimeout(giveBackFreed, freedMs).unref();
	}
}
