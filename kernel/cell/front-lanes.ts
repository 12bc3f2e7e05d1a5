// The front process's ends of the lanes to and from one worker.

import { closeLane, type LaneRange, LaneReader, LaneWriter, openLane } from "./buffer-lane.js";
import type { SentContent } from "./content.js";

/** New lanes; a worker that is started again gets others. */
export class FrontLanes {
	readonly #files = { toWorker: openLane(), toFront: openLane(), contents: openLane() };
	readonly #toWorker = new LaneWriter(this.#files.toWorker, false);
	readonly #toFront = new LaneReader(this.#files.toFront);
	readonly #contents = new LaneReader(this.#files.contents);

	/** Descriptors that the worker inherits. */
	get files(): { toWorker: number; toFront: number; contents: number } {
		return this.#files;
	}

	/** Copies buffers to where the worker can read them. */
	write(buffers: readonly ArrayBufferView[]): LaneRange {
		return this.#toWorker.write(buffers);
	}

	/** Leaves the worker a text that it looks for while it blocks. */
	leaveNote(id: number, text: string): void {
		this.#toWorker.leaveNote(id, text);
	}

	/** Copies out buffers that an event of the worker names. */
	read(range: LaneRange): Buffer[] {
		return this.#toFront.read(range);
	}

	/** Gives the content of an output's message; that of a large one as JSON bytes. To be read in the order of the events. */
	readContent(content: SentContent): Record<string, unknown> | Buffer {
		return "range" in content ? this.#contents.read(content.range)[0]! : content.inline;
	}

	/** Closes this process's descriptors. */
	close(): void {
		for (const file of Object.values(this.#files)) closeLane(file);
	}
}
