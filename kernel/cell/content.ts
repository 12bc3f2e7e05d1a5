// The content of an output's message, from the worker to the front process. A large one goes through a lane as the JSON
// bytes that the front end will read: each pass over 5 MiB of text costs some 10 ms, so that it is turned into JSON once.

import type { LaneRange, LaneWriter } from "./buffer-lane.js";

/** Content as an event carries it: itself, or where its bytes lie. */
export type SentContent = { inline: Record<string, unknown> } | { range: LaneRange };

/** JSON of up to this length goes with the event, in UTF-16 units. */
const inlineLength = 64 * 1024;

/** Memory that the content before was encoded in, until a collection: fresh memory takes ten times as long as encoding. */
let last: WeakRef<Buffer> | undefined;

function encoded(json: string): Buffer {
	const length = Buffer.byteLength(json);
	let memory = last?.deref();
	if (memory === undefined || memory.length < length) {
		memory = Buffer.allocUnsafeSlow(length);
		last = new WeakRef(memory);
	}
	return memory.subarray(0, memory.write(json));
}

/** Content that has not been sent. */
export class Content {
	readonly #lane: LaneWriter;
	readonly #inline: Record<string, unknown>;
	readonly #json: string | undefined;

	/**
	 * @param lane takes what is large, when the event is written: its messages have the order of the events
	 * @param content what JSON can say
	 */
	constructor(lane: LaneWriter, content: Record<string, unknown>) {
		this.#lane = lane;
		this.#inline = content;
		const json = JSON.stringify(content);
		if (json.length > inlineLength) this.#json = json;
	}

	/** Called once, by the `JSON.stringify` of the event. */
	toJSON(): SentContent {
		try {
			if (this.#json) return { range: this.#lane.write([encoded(this.#json)]) };
		} catch {
			// No room: it takes the slow way.
		}
		return { inline: this.#inline };
	}
}
