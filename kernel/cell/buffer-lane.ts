// One way between the front process and its worker for bytes that JSON should not carry: an unlinked file, in memory where
// the system has such files, that both hold open. Bytes are written to it at a place and read from there, whole; a pipe
// hands on 64 KiB at a time. The reader keeps its count in the file's head, so that the writer knows what has been read
// even while one of the two never looks at its pipes.

import { closeSync, existsSync, ftruncateSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OctavoError } from "../../sdk/errors.js";

/** Where the bytes of one message lie. */
export interface LaneRange {
	/** Running number of the message, from 1. */
	message: number;
	/** Position and length of each buffer, in bytes. */
	at: [position: number, length: number][];
}

/**
 * Bytes at the beginning of the file, doubles: the number of the last message read; then a note, which a reader that
 * blocks can look for: its id, and the message, position and length of its text.
 */
const headBytes = 64;
const noteAt = 8;
/** The file is cut back when a message ends beyond this many bytes and all has been read. */
const keptBytes = 256 * 1024 * 1024;
/** A writer that may wait does so while this many bytes are unread. */
const aheadBytes = 512 * 1024 * 1024;
/** Pause between two looks at the reader's count, in milliseconds. */
const lookMs = 2;

/** Opens a new lane's file; both ends use the descriptor, which the child inherits. */
export function openLane(): number {
	const folder = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "octavo-"));
	try {
		const descriptor = openSync(join(folder, "lane"), "wx+", 0o600);
		writeSync(descriptor, Buffer.alloc(headBytes), 0, headBytes, 0);
		return descriptor;
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}

/** The end of a lane that puts buffers in. */
export class LaneWriter {
	readonly #descriptor: number;
	readonly #waits: boolean;
	#written = 0;
	#end = headBytes;

	/** @param waits whether `write` blocks while the reader is far behind; the front process must not */
	constructor(descriptor: number, waits: boolean) {
		this.#descriptor = descriptor;
		this.#waits = waits;
	}

	/**
	 * Copies the buffers of one message into the lane.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_COMM when there is no room, or the cell has closed the lane; later messages may fit
	 */
	write(buffers: readonly ArrayBufferView[]): LaneRange {
		while (this.#waits && this.#end > aheadBytes && !this.#isRead()) {
			Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, lookMs);
		}
		if (this.#end > headBytes && this.#isRead()) {
			if (this.#end > keptBytes) ftruncateSync(this.#descriptor, headBytes);
			this.#end = headBytes;
		}
		const at = buffers.map(({ buffer, byteOffset, byteLength }): [number, number] => {
			const position = this.#end;
			const bytes = new Uint8Array(buffer, byteOffset, byteLength);
			try {
				for (let done = 0; done < byteLength; ) {
					done += writeSync(this.#descriptor, bytes, done, byteLength - done, position + done);
				}
			} catch (error) {
				const { message } = error as Error;
				const room = `room for a buffer of ${byteLength} bytes beside a comm message`;
				throw new OctavoError("ERR_OCTAVO_COMM", `Expected ${room} but received ${message}`, { cause: error });
			}
			this.#end += byteLength;
			return [position, byteLength];
		});
		this.#written++;
		return { message: this.#written, at };
	}

	/** Leaves a note for a reader that blocks; it replaces the one before. */
	leaveNote(id: number, text: string): void {
		const { message, at } = this.write([Buffer.from(text)]);
		const place = Buffer.alloc(24);
		for (const [i, value] of [message, ...at[0]!].entries()) place.writeDoubleLE(value, 8 * i);
		writeSync(this.#descriptor, place, 0, 24, noteAt + 8);
		// Last: who sees the id sees the rest.
		const name = Buffer.alloc(8);
		name.writeDoubleLE(id);
		writeSync(this.#descriptor, name, 0, 8, noteAt);
	}

	#isRead(): boolean {
		const head = Buffer.alloc(8);
		readSync(this.#descriptor, head, 0, 8, 0);
		return head.readDoubleLE() >= this.#written;
	}
}

/** The end of a lane that takes buffers out. */
export class LaneReader {
	readonly #descriptor: number;

	constructor(descriptor: number) {
		this.#descriptor = descriptor;
	}

	/** Copies the buffers of one message out and lets the writer use their place again. */
	read({ message, at }: LaneRange): Buffer[] {
		const buffers = at.map(([position, length]) => {
			// Memory of its own, not a slice of Node's pool: whoever gets it may hand its ArrayBuffer on.
			const buffer = Buffer.allocUnsafeSlow(length);
			for (let done = 0; done < length; ) {
				const count = readSync(this.#descriptor, buffer, done, length - done, position + done);
				if (count === 0) throw new Error(`Expected ${length} bytes at ${position} of a lane but it ends before`);
				done += count;
			}
			return buffer;
		});
		const head = Buffer.alloc(8);
		head.writeDoubleLE(message);
		writeSync(this.#descriptor, head, 0, 8, 0);
		return buffers;
	}

	/** The note with this id, once it is there. */
	note(id: number): string | undefined {
		const head = Buffer.alloc(32);
		readSync(this.#descriptor, head, 0, 32, noteAt);
		if (head.readDoubleLE() !== id) return undefined;
		const [message, position, length] = [8, 16, 24].map((at) => head.readDoubleLE(at)) as [number, number, number];
		return this.read({ message, at: [[position, length]] })[0]!.toString("utf8");
	}
}

/** Closes the front's descriptor of a lane whose worker is gone. */
export function closeLane(descriptor: number): void {
	closeSync(descriptor);
}
