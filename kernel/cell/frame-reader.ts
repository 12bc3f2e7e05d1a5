// Cuts what comes from the worker into frames. Cells and native code can write to its descriptor too, so that what comes may
// be none: after that nothing can be told apart any more, and no more is read.

import { OctavoError } from "../../sdk/errors.js";
import type { StreamName } from "../protocol/outlet.js";
import { frameKind, type WorkerEvent } from "./protocol.js";

/** Takes what frames hold. */
export interface FrameSink {
	stream(name: StreamName, text: string): void;
	event(event: WorkerEvent): void;
	/** What came is no frame. */
	broken(): void;
}

/** Bytes before a frame's payload. */
const headBytes = 5;

/** Reads the frames of one worker. */
export class FrameReader {
	readonly #sink: FrameSink;
	#parts: Buffer[] = [];
	#length = 0;
	#isBroken = false;

	constructor(sink: FrameSink) {
		this.#sink = sink;
	}

	/** Takes the next bytes. A large frame is joined once, not once a chunk. */
	push(bytes: Buffer): void {
		if (this.#isBroken) return;
		this.#parts.push(bytes);
		this.#length += bytes.length;
		if (this.#length < headBytes) return;
		if (this.#parts[0]!.length < headBytes) this.#parts = [Buffer.concat(this.#parts, this.#length)];
		const [first] = this.#parts as [Buffer];
		if (isKind(first[4]!) && this.#length < end(first)) return;
		let rest = Buffer.concat(this.#parts, this.#length);
		while (rest.length >= headBytes) {
			const kind = rest[4]!;
			if (isKind(kind) && rest.length < end(rest)) break;
			if (!this.#deliver(kind, rest)) {
				this.#isBroken = true;
				this.#parts = [];
				this.#sink.broken();
				return;
			}
			rest = rest.subarray(end(rest));
		}
		this.#parts = rest.length > 0 ? [rest] : [];
		this.#length = rest.length;
	}

	/** False for what is no frame. */
	#deliver(kind: number, bytes: Buffer): boolean {
		if (!isKind(kind)) return false;
		const text = bytes.toString("utf8", headBytes, end(bytes));
		if (kind === frameKind.event) {
			const event = parse(text);
			return event !== undefined && this.#hand(event);
		}
		this.#sink.stream(kind === frameKind.stdout ? "stdout" : "stderr", text);
		return true;
	}

	/** False for an event that names bytes which are not there: the worker never writes one. */
	#hand(event: WorkerEvent): boolean {
		try {
			this.#sink.event(event);
			return true;
		} catch (error) {
			if (error instanceof OctavoError && error.code === "ERR_OCTAVO_LANE") return false;
			throw error;
		}
	}
}

function isKind(kind: number): boolean {
	return (Object.values(frameKind) as number[]).includes(kind);
}

/** Where the frame at the beginning of these bytes ends. */
function end(bytes: Buffer): number {
	return headBytes + bytes.readUInt32LE(0);
}

function parse(text: string): WorkerEvent | undefined {
	try {
		const event = JSON.parse(text);
		return typeof event?.type === "string" ? event : undefined;
	} catch {
		return undefined;
	}
}
