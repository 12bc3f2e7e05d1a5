// Everything a cell puts out, in the order in which it did. Text leaves with a synchronous write; once a display waits
// for its value to show itself, what follows waits behind it.

import { StringDecoder } from "node:string_decoder";
import { frameKind, type WorkerEvent, writeFrame } from "./protocol.js";

/** Longest text in one frame, in UTF-16 units. */
const pieceLength = 1024 * 1024;

/** Ordered output of the worker. */
export class Outbox {
	#tail: Promise<void> | undefined;

	/** Sends text of a stream, in pieces: whoever reads it need not hold all of it. */
	text(kind: number, text: string): void {
		for (let at = 0; at < text.length; ) {
			let end = Math.min(text.length, at + pieceLength);
			const last = text.charCodeAt(end - 1);
			// Not between the halves of a character.
			if (end < text.length && last >= 0xd800 && last <= 0xdbff) end--;
			const piece = text.slice(at, end);
			this.#push(() => writeFrame(kind, piece));
			at = end;
		}
	}

	/** Sends an event. */
	event(event: WorkerEvent): void {
		this.#push(() => writeFrame(frameKind.event, JSON.stringify(event)));
	}

	/** Sends an event ahead of what waits: for one whose sender is about to block. */
	urgent(event: WorkerEvent): void {
		writeFrame(frameKind.event, JSON.stringify(event));
	}

	/** Sends an event that is still being made; what comes after waits for it. */
	later(event: Promise<WorkerEvent>): Promise<void> {
		const before = this.#tail ?? Promise.resolve();
		const sent = before.then(() => event).then((ready) => writeFrame(frameKind.event, JSON.stringify(ready)));
		const tail: Promise<void> = sent.then(
			() => this.#settle(tail),
			() => this.#settle(tail),
		);
		this.#tail = tail;
		return sent;
	}

	/** Settles when everything has been written. */
	async flushed(): Promise<void> {
		while (this.#tail) await this.#tail;
	}

	/** Gives up what waits behind a display that an interrupt has cut off. */
	abandon(): void {
		this.#tail = undefined;
	}

	#push(write: () => void): void {
		if (!this.#tail) {
			write();
			return;
		}
		const tail: Promise<void> = this.#tail.then(write).then(() => this.#settle(tail));
		this.#tail = tail;
	}

	#settle(tail: Promise<void>): void {
		if (this.#tail === tail) this.#tail = undefined;
	}
}

/** Sends what is written to `process.stdout` and `process.stderr` through the outbox. */
export function captureStreams(outbox: Outbox): void {
	for (const name of ["stdout", "stderr"] as const) {
		// Bytes of one character may come in several writes.
		const decoder = new StringDecoder("utf8");
		process[name].write = (
			chunk: string | Uint8Array,
			encoding?: BufferEncoding | ((error?: Error | null) => void),
			done?: (error?: Error | null) => void,
		): boolean => {
			const callback = typeof encoding === "function" ? encoding : done;
			const isText = typeof chunk === "string" && (typeof encoding !== "string" || /^utf-?8$/i.test(encoding));
			const bytes = () => Buffer.from(chunk as string, typeof encoding === "string" ? encoding : "utf8");
			const text = isText ? decoder.end() + chunk : decoder.write(bytes());
			outbox.text(frameKind[name], text);
			if (callback) process.nextTick(callback);
			return true;
		};
	}
}
