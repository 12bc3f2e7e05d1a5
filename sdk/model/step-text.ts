// Text of a sequence token by token. A character may be spread over tokens: its text then comes with the token that
// completes it, and the ones before add nothing, so that the pieces joined are the text.

import { wholeCharacters } from "./token-bytes.js";
import type { Tokenizer } from "./tokenizer.js";

const none = new Uint8Array(0);

/** Gives each step the text its token adds. */
export class StepText {
	readonly #tokenizer: Tokenizer | undefined;
	// Bytes of an unfinished character after a step; few steps have any. By step, as a session may go back.
	readonly #unfinished = new Map<number, Uint8Array>();
	readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

	constructor(tokenizer: Tokenizer | undefined) {
		this.#tokenizer = tokenizer;
	}

	/** One that goes on from the same steps, for a line of its own. */
	fork(): StepText {
		const fork = new StepText(this.#tokenizer);
		for (const [stepIndex, bytes] of this.#unfinished) fork.#unfinished.set(stepIndex, bytes);
		return fork;
	}

	/** @returns what the token adds after the steps before it; a name where the tokenizer has names, `#id` without one */
	add(token: number, stepIndex: number): string {
		const bytes = this.#tokenizer?.bytes(token);
		if (bytes === undefined) return this.#tokenizer?.name(token) ?? `#${token}`;
		const before = this.#unfinished.get(stepIndex - 1) ?? none;
		const all = before.length === 0 ? bytes : Uint8Array.of(...before, ...bytes);
		const end = wholeCharacters(all);
		if (end < all.length) this.#unfinished.set(stepIndex, all.slice(end));
		else this.#unfinished.delete(stepIndex);
		return this.#decoder.decode(all.subarray(0, end));
	}
}
