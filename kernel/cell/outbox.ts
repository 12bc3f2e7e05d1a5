// Everything that the cells of a shell put out, in the order in which they did; once a display waits for its value to show
// itself, what follows waits behind it.

import { StringDecoder } from "node:string_decoder";
import type { FrameWriter } from "./frame-writer.js";
import { frameKind, type Owner, type WorkerEvent } from "./protocol.js";

/** Longest text in one frame, in UTF-16 units. */
const pieceLength = 1024 * 1024;

/** What is to be written in its turn; a display that is still being made cannot be yet. */
interface Place {
	write?: () => void;
}

/** Ordered output of one shell. */
export class Outbox {
	/** The shell's cells. */
	readonly cells: Owner;
	/** Whose output comes now: that of the cells, or of a comm request that is being handled. */
	owner: Owner;
	readonly #writer: FrameWriter;
	readonly #waiting: Place[] = [];
	readonly #whenEmpty: (() => void)[] = [];

	/**
	 * @param writer writes each frame whole
	 * @param cells whose output it is
	 */
	constructor(writer: FrameWriter, cells: Owner) {
		this.#writer = writer;
		this.cells = cells;
		this.owner = cells;
	}

	/** Sends text of a stream, in pieces: whoever reads it need not hold all of it. */
	text(kind: number, text: string): void {
		const { owner } = this;
		for (let at = 0; at < text.length; ) {
			let end = Math.min(text.length, at + pieceLength);
			const last = text.charCodeAt(end - 1);
			// Not between the halves of a character.
			if (end < text.length && last >= 0xd800 && last <= 0xdbff) end--;
			const piece = text.slice(at, end);
			this.#push(() => this.#writer.text(kind, piece, owner));
			at = end;
		}
	}

	/** Sends an event. */
	event(event: WorkerEvent): void {
		const { owner } = this;
		this.#push(() => this.#write(event, owner));
	}

	/** Sends an event ahead of what waits: for one whose sender is about to block, or which belongs to no cell. */
	urgent(event: WorkerEvent): void {
		this.#write(event, this.owner);
	}

	/** Sends an event that is still being made; what comes after waits for it. Settles when it has been sent. */
	async later(event: Promise<WorkerEvent>): Promise<void> {
		const place: Place = {};
		const { owner } = this;
		this.#waiting.push(place);
		try {
			const ready = await event;
			await new Promise<void>((resolve) => {
				place.write = () => {
					this.#write(ready, owner);
					resolve();
				};
				// Given up: nothing waits for it, nor it for anything.
				if (this.#waiting.includes(place)) this.#proceed();
				else place.write();
			});
		} catch (error) {
			place.write = () => {};
			this.#proceed();
			throw error;
		}
	}

	/** Settles when everything has been written. */
	async flushed(): Promise<void> {
		for (;;) {
			// Whoever waited for a display may update it now: once the promises that are due have run.
			await new Promise((resolve) => process.nextTick(resolve));
			if (this.#waiting.length === 0) return;
			await new Promise<void>((resolve) => this.#whenEmpty.push(resolve));
		}
	}

	/** After an interrupt, of which a display that is still being made may never recover: writes what waits behind it. */
	abandon(): void {
		for (const { write } of this.#waiting.splice(0)) write?.();
		this.#sayEmpty();
	}

	#write(event: WorkerEvent, owner: Owner): void {
		this.#writer.frame(frameKind.event, JSON.stringify(event), owner);
	}

	#push(write: () => void): void {
		if (this.#waiting.length > 0) this.#waiting.push({ write });
		else write();
	}

	#proceed(): void {
		while (this.#waiting[0]?.write) this.#waiting.shift()!.write!();
		if (this.#waiting.length === 0) this.#sayEmpty();
	}

	#sayEmpty(): void {
		for (const resolve of this.#whenEmpty.splice(0)) resolve();
	}
}

/**
 * Sends what is written to `process.stdout` and `process.stderr` through an outbox.
 *
 * @param outbox gives that of the code which writes
 * @param mapped puts the frames of stacks in place, as of an error that is printed
 */
export function captureStreams(outbox: () => Outbox, mapped: (text: string) => string): void {
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
			outbox().text(frameKind[name], mapped(text));
			if (callback) process.nextTick(callback);
			return true;
		};
		// What pipes into it and then ends it is told that it has ended, while what others print still comes.
		const end = (...given: unknown[]) => {
			const done = given.findIndex((one) => typeof one === "function");
			const [chunk, encoding] = done < 0 ? given : given.slice(0, done);
			if (chunk !== undefined && chunk !== null) process[name].write(chunk as string, encoding as BufferEncoding);
			process.nextTick(() => {
				process[name].emit("finish");
				(given[done] as (() => void) | undefined)?.();
			});
			return process[name];
		};
		Object.assign(process[name], { end });
	}
}

/**
 * Gives the global console methods of its own. Those that Node.js gives it tell the inspector of each call while a session
 * is open, as the interrupt thread's always is: that takes longer than to print, and keeps what was printed alive.
 */
export function plainConsole(): void {
	// Without a listener for errors a call: what captureStreams puts there has none.
	const plain = new console.Console({ stdout: process.stdout, stderr: process.stderr, ignoreErrors: false });
	for (const [name, method] of Object.entries(plain)) {
		if (typeof method === "function" && name in console) Object.assign(console, { [name]: method });
	}
}
