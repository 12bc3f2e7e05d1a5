// Text of one of the worker's descriptors, in which a mark says that everything of a cell has come. The mark itself is
// taken out, wherever the pipe may have cut it.

import type { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";

/** One of the worker's raw output streams; that of the next worker after it. */
export class MarkedStream {
	readonly #deliver: (text: string) => void;
	#stream: Readable | undefined;
	#mark = "";
	#held = "";
	#seen: (() => void) | undefined;

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
		this.#mark = mark;
		const seen = new Promise<void>((resolve) => {
			this.#seen = resolve;
		});
		return async (milliseconds) => {
			const timer = setTimeout(() => this.#seen?.(), milliseconds);
			await seen;
			clearTimeout(timer);
			this.#flush();
			this.#mark = "";
			this.#seen = undefined;
		};
	}

	#flush(): void {
		this.#deliver(this.#held);
		this.#held = "";
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
