// The content of an output's message, from the worker to the front process. A large one goes through a lane as the JSON
// bytes that the front end will read: each pass over 5 MiB of text costs some 10 ms, so that it is turned into JSON once.

import type { LaneRange, LaneWriter } from "./buffer-lane.js";

/** Content as an event carries it: itself, or where its bytes lie. */
export type SentContent = { inline: Record<string, unknown> } | { range: LaneRange };

/** JSON of up to this length goes with the event, in UTF-16 units. */
const inlineLength = 64 * 1024;

/** Content that has not been sent. */
export class Content {
	readonly #lane: LaneWriter;
	readonly #inline: Record<string, unknown>;
	readonly #bytes: Buffer | undefined;

	/**
	 * @param lane takes what is large, when the event is written: its messages have the order of the events
	 * @param content what JSON can say
	 */
	constructor(lane: LaneWriter, content: Record<string, unknown>) {
		this.#lane = lane;
		this.#inline = content;
		const json = JSON.stringify(content);
		if (json.length > inlineLength) this.#bytes = Buffer.from(json);
	}

	/** Called once, by the `JSON.stringify` of the event. */
	toJSON(): SentContent {
		try {
			if (this.#bytes) return { range: this.#lane.write([this.#bytes]) };
		} catch {
			// No room: it takes the slow way.
		}
		return { inline: this.#inline };
	}
}
