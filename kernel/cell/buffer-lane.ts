// One way between the front process and its worker for bytes that JSON should not carry: an unlinked file, in memory where
// the system has such files, that both hold open. Bytes are written to it at a place and read from there, whole; a pipe
// hands on 64 KiB at a time. The reader keeps its count in the file's head, so that the writer knows what has been read
// even while one of the two never looks at its pipes.

import { OctavoError, received } from "../../sdk/errors.js";
import { LaneFile, memoryFor, openFile } from "./lane-file.js";

/** Where the bytes of one message lie. */
export interface LaneRange {
	/** Running number of the message, from 1. */
	message: number;
	/** Position and length of each buffer, in bytes. */
	at: [position: number, length: number][];
}

/** Where buffers begin, in bytes: the head has a page of its own, which stays when memory is given back. */
const dataAt = 4096;
/**
 * Doubles in the head: at 0 the number of the last message read; then a note, which a reader that blocks can look for: its
 * id, and the message, position and length of its text.
 */
const noteAt = 8;
/** Memory of a lane that is given back as soon as all has been read, in bytes: what lies beyond so much. */
const keptBytes = 256 * 1024 * 1024;
/** A writer that may wait does so while this many bytes are unread. */
const aheadBytes = 512 * 1024 * 1024;
/** Pause between two looks at the reader's count, in milliseconds. */
const lookMs = 2;

/** Opens a new lane; both ends use the descriptor, which the child inherits. */
export function openLane(): number {
	return openFile(dataAt);
}

/** The end of a lane that puts buffers in. */
export class LaneWriter {
	readonly #file: LaneFile;
	readonly #waits: boolean;
	#written = 0;
	#end = dataAt;
	/** Beyond this nothing has been written since memory was given back. */
	#usedTo = dataAt;

	/** @param waits whether `write` blocks while the reader is far behind; the front process must not */
	constructor(descriptor: number, waits: boolean) {
		this.#file = new LaneFile(descriptor);
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
		if (this.#end > dataAt && this.#isRead()) {
			if (this.#end > keptBytes) this.#free();
			this.#end = dataAt;
		}
		const at = buffers.map(({ buffer, byteOffset, byteLength }): [number, number] => {
			const position = this.#end;
			this.#usedTo = Math.max(this.#usedTo, position + byteLength);
			try {
				this.#file.write(new Uint8Array(buffer, byteOffset, byteLength), position);
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
		this.#file.write(place, noteAt + 8);
		// Last: who sees the id sees the rest.
		const name = Buffer.alloc(8);
		name.writeDoubleLE(id);
		this.#file.write(name, noteAt);
	}

	/** Gives the lane's memory back to the system, if all has been read. To be called when nothing has been sent for a while. */
	rest(): void {
		if (this.#usedTo > dataAt && this.#isRead()) this.#free();
	}

	/** Closes this process's descriptor of the lane. */
	close(): void {
		this.#file.close();
	}

	#free(): void {
		this.#file.free(dataAt);
		this.#end = dataAt;
		this.#usedTo = dataAt;
	}

	#isRead(): boolean {
		if (this.#written === 0) return true;
		const head = Buffer.alloc(8);
		this.#file.read(head, 0);
		return head.readDoubleLE() >= this.#written;
	}
}

/** The end of a lane that takes buffers out. */
export class LaneReader {
	readonly #file: LaneFile;

	constructor(descriptor: number) {
		this.#file = new LaneFile(descriptor);
	}

	/**
	 * Copies the buffers of one message out and lets the writer use their place again.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_LANE for a range that the lane does not have
	 */
	read({ message, at }: LaneRange): Buffer[] {
		const buffers = at.map(([position, length]) => {
			try {
				const buffer = memoryFor(length);
				this.#file.read(buffer, position);
				return buffer;
			} catch (error) {
				const came = `${received(length)} bytes at ${received(position)}: ${(error as Error).message}`;
				throw new OctavoError("ERR_OCTAVO_LANE", `Expected a place in a lane but received ${came}`, { cause: error });
			}
		});
		const head = Buffer.alloc(8);
		head.writeDoubleLE(message);
		this.#file.write(head, 0);
		return buffers;
	}

	/** Closes this process's descriptor of the lane. */
	close(): void {
		this.#file.close();
	}

	/** The note with this id, once it is there. */
	note(id: number): string | undefined {
		const head = Buffer.alloc(32);
		this.#file.read(head, noteAt);
		if (head.readDoubleLE() !== id) return undefined;
		const [message, position, length] = [8, 16, 24].map((at) => head.readDoubleLE(at)) as [number, number, number];
		return this.read({ message, at: [[position, length]] })[0]!.toString("utf8");
	}
}
