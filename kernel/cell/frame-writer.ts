// Writes the worker's frames to the front process. Text of a cell that prints a lot is held for some milliseconds in memory
// that the interrupt thread shares, which writes it when the cell does not get to it: output leaves even a cell that never
// returns. The first texts after a pause go out at once, and so in their order with what native code writes.

import { writeSync } from "node:fs";
import { frameKind, type Owner, outputDescriptor } from "./protocol.js";

/** How long text is held at most, in milliseconds. */
export const heldMs = 10;
/** Texts that go out at once after a pause. */
const directTexts = 50;
/** A time without text that counts as a pause, in milliseconds. */
const pauseMs = 5;
/** Bytes that can be held, and bytes from which on they go out. */
const roomBytes = 256 * 1024;
const fullBytes = 64 * 1024;
/** Text beyond this length is never held, in UTF-16 units; three bytes each at most. */
const maxHeldLength = 32 * 1024;
/** Wait for the front process to end one that cannot write to it, in milliseconds. */
const lastMs = 2000;
/** Bytes of a frame before its payload. */
const headBytes = 5;

/** Numbers at the beginning of the shared memory: whether one of the threads is at it; how many bytes are held. */
const slot = { lock: 0, length: 1 } as const;
const dataAt = 4 * Object.keys(slot).length;

/** Frames that wait in memory which two threads share. */
export class HeldFrames {
	readonly memory: SharedArrayBuffer;
	readonly #slots: Int32Array;
	readonly #bytes: Buffer;
	#lastAt = 0;

	/** @param memory that of the other thread; default new */
	constructor(memory = new SharedArrayBuffer(dataAt + roomBytes)) {
		this.memory = memory;
		this.#slots = new Int32Array(memory, 0, dataAt / 4);
		this.#bytes = Buffer.from(memory, dataAt);
	}

	/** Holds a text of at most {@link maxHeldLength}; gives the number of bytes held before. */
	add(kind: number, text: string): number {
		this.#lock();
		const before = Atomics.load(this.#slots, slot.length);
		const goesOn = before > this.#lastAt && this.#bytes[this.#lastAt + 4] === kind;
		if (!goesOn) this.#lastAt = before;
		const end = this.#bytes.write(text, goesOn ? before : before + headBytes) + (goesOn ? before : before + headBytes);
		this.#bytes.writeUInt32LE(end - this.#lastAt - headBytes, this.#lastAt);
		this.#bytes[this.#lastAt + 4] = kind;
		Atomics.store(this.#slots, slot.length, end);
		this.#unlock();
		return before;
	}

	/** Writes what is held. */
	flush(): void {
		this.#lock();
		this.#write();
	}

	/** Writes what is held, unless the other thread is at it: then gives false. */
	tryFlush(): boolean {
		if (Atomics.compareExchange(this.#slots, slot.lock, 0, 1) !== 0) return false;
		this.#write();
		return true;
	}

	#write(): void {
		const length = Atomics.load(this.#slots, slot.length);
		try {
			writeAll(this.#bytes.subarray(0, length));
		} finally {
			Atomics.store(this.#slots, slot.length, 0);
			this.#unlock();
		}
	}

	#lock(): void {
		while (Atomics.compareExchange(this.#slots, slot.lock, 0, 1) !== 0) Atomics.wait(this.#slots, slot.lock, 1);
	}

	#unlock(): void {
		Atomics.store(this.#slots, slot.lock, 0);
		Atomics.notify(this.#slots, slot.lock);
	}
}

/** What keeps an interrupt from ending a function half way. */
export interface Guard {
	/** Gives whether user code ran. */
	enter(): boolean;
	leave(): void;
}

/** Writes frames from the main thread, each whole. */
export class FrameWriter {
	readonly #held: HeldFrames;
	readonly #guard: Guard;
	readonly #wake: () => void;
	#numRecent = 0;
	#lastAt = 0;
	/** Whose the newest frame is. */
	#owner: Owner = {};

	/** @param wake called when text is held: {@link HeldFrames.tryFlush} is due on the other thread after {@link heldMs} */
	constructor(held: HeldFrames, guard: Guard, wake: () => void) {
		this.#held = held;
		this.#guard = guard;
		this.#wake = wake;
	}

	/** Writes text of a stream, now or soon. */
	text(kind: number, text: string, owner: Owner): void {
		const now = performance.now();
		if (now - this.#lastAt > pauseMs) this.#numRecent = 0;
		this.#lastAt = now;
		this.#write(kind, text, ++this.#numRecent > directTexts, owner);
	}

	/** Writes a frame and all text before it. */
	frame(kind: number, text: string, owner: Owner): void {
		this.#write(kind, text, false, owner);
	}

	#write(kind: number, text: string, mayWait: boolean, owner: Owner): void {
		const wasUser = this.#guard.enter();
		try {
			this.#attribute(owner);
			if (text.length > maxHeldLength) {
				this.#held.flush();
				writeFrame(kind, text);
				return;
			}
			const before = this.#held.add(kind, text);
			if (!mayWait || before > fullBytes) this.#held.flush();
			else if (before === 0) this.#wake();
		} finally {
			if (wasUser) this.#guard.leave();
		}
	}

	/** Says whose the next frame is, where that changes. */
	#attribute(owner: Owner): void {
		const { request, shell } = this.#owner;
		if (owner.request === request && owner.shell === shell) return;
		this.#owner = owner;
		this.#held.add(frameKind.event, JSON.stringify({ type: "within", owner }));
		this.#held.flush();
	}
}

/** Writes one frame: length of the payload (4 bytes, little endian), kind (1 byte), payload in UTF-8. */
function writeFrame(kind: number, text: string): void {
	const length = Buffer.byteLength(text);
	const frame = Buffer.allocUnsafe(headBytes + length);
	frame.writeUInt32LE(length, 0);
	frame[4] = kind;
	frame.write(text, headBytes);
	writeAll(frame);
}

function writeAll(bytes: Buffer): void {
	try {
		for (let at = 0; at < bytes.length; ) at += writeSync(outputDescriptor, bytes, at);
	} catch {
		// A cell has closed the descriptor, or the front process is gone: nothing can be told any more. The front process ends
		// this one, and says why; should it not be there, this one ends itself.
		Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, lastMs);
		process.kill(process.pid, "SIGKILL");
	}
}
