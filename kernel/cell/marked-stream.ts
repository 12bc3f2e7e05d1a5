// Text of one of the worker's descriptors, in which a mark says that everything of a cell has come. The mark itself is
// taken out, wherever the pipe may have cut it. Cells of several shells look for theirs at once.

import type { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import { lateTimer } from "./late-timer.js";

/** One of the worker's raw output streams; that of the next worker after it. */
export class MarkedStream {
	readonly #deliver: (text: string) => void;
	#stream: Readable | undefined;
	/** What is told of each mark that is looked for. */
	readonly #marks = new Map<string, () => void>();
	#held = "";

	constructor(deliver: (text: string) => void) {
		this.#deliver = deliver;
	}

	/** Goes over to a worker's stream; a mark that is looked for is looked for in this one. */
	follow(stream: Readable): void {
		this.#stream = stream;
		this.#flush();
		const decoder = new StringDecoder("utf8");
		stream.on("data", (bytes: Buffer) => {
			const text = decoder.write(bytes);
			if (stream === this.#stream) this.#push(text);
			else this.#deliver(text);
		});
		stream.once("close", () => {
			this.#deliver(decoder.end());
			if (stream === this.#stream) this.#flush();
		});
	}

	/** Starts to look for a mark; the given function waits until it came or some milliseconds passed. */
	until(mark: string): (milliseconds: number) => Promise<void> {
		const seen = new Promise<void>((resolve) => this.#marks.set(mark, resolve));
		return async (milliseconds) => {
			const cancel = lateTimer(milliseconds, () => this.#marks.get(mark)?.());
			await seen;
			cancel();
			this.#marks.delete(mark);
			// The beginning of a mark, which nobody waits for any more.
			if (this.#marks.size === 0) this.#flush();
		};
	}

	#flush(): void {
		this.#deliver(this.#held);
		this.#held = "";
	}

	#push(text: string): void {
		let rest = this.#held + text;
		this.#held = "";
		for (const [mark, seen] of this.#marks) {
			const at = rest.indexOf(mark);
			if (at < 0) continue;
			rest = rest.slice(0, at) + rest.slice(at + mark.length);
			seen();
		}
		// A mark may be cut in two by the pipe: hold back what could be its beginning.
		const start = this.#marks.size > 0 ? rest.lastIndexOf("\u0000") : -1;
		const isBegun = start >= 0 && [...this.#marks.keys()].some((mark) => mark.startsWith(rest.slice(start)));
		const hold = isBegun ? start : rest.length;
		this.#deliver(rest.slice(0, hold));
		this.#held = rest.slice(hold);
	}
}
