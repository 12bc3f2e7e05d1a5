// Text of one of the worker's descriptors, in which a mark says that everything of a cell has come. The mark itself is
// taken out, wherever the pipe may have cut it.

import type { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";

/** One of the worker's raw output streams. */
export class MarkedStream {
	readonly #decoder = new StringDecoder("utf8");
	readonly #deliver: (text: string) => void;
	#mark = "";
	#held = "";
	#seen: (() => void) | undefined;

	constructor(stream: Readable, deliver: (text: string) => void) {
		this.#deliver = deliver;
		stream.on("data", (bytes: Buffer) => this.#push(this.#decoder.write(bytes)));
		stream.once("close", () => {
			this.#deliver(this.#held + this.#decoder.end());
			this.#held = "";
			this.#seen?.();
		});
	}

	/** Starts to look for a mark; the given function waits until it came or some milliseconds passed. */
	until(mark: string): (milliseconds: number) => Promise<void> {
		this.#mark = mark;
		const seen = new Promise<void>((resolve) => {
			this.#seen = resolve;
		});
		return async (milliseconds) => {
			const timer = setTimeout(() => this.#seen?.(), milliseconds);
			await seen;
			clearTimeout(timer);
			this.#deliver(this.#held);
			this.#held = "";
			this.#mark = "";
			this.#seen = undefined;
		};
	}

	#push(text: string): void {
		if (this.#mark === "") {
			this.#deliver(text);
			return;
		}
		const joined = this.#held + text;
		const at = joined.indexOf(this.#mark);
		if (at >= 0) {
			this.#held = "";
			this.#deliver(joined.slice(0, at) + joined.slice(at + this.#mark.length));
			this.#seen?.();
			return;
		}
		// A mark may be cut in two by the pipe: hold back what could be its beginning.
		const start = joined.lastIndexOf("\u0000");
		const hold = start >= 0 && this.#mark.startsWith(joined.slice(start)) ? start : joined.length;
		this.#deliver(joined.slice(0, hold));
		this.#held = joined.slice(hold);
	}
}
