// A tokenizer for small models: a list of names, one a token, words apart by spaces. It adds no tokens of its own, so a
// prompt is exactly what it says.

import { OctavoError, received } from "../errors.js";
import { nearest } from "../options.js";
import { checkIds, type Tokenizer } from "./tokenizer.js";

/** Turns text into tokens and back, by a list of names. */
export class NameTokenizer implements Tokenizer {
	readonly #names: readonly string[];
	readonly #ids: ReadonlyMap<string, number>;

	readonly #vocabSize: number;

	/**
	 * @param names name of each token in order of its id: non-empty, without spaces, each once
	 * @param vocabSize tokens of the model, at least as many as names. Default: as many
	 * @throws {OctavoError} ERR_OCTAVO_TOKENIZER when they are not
	 */
	constructor(names: readonly string[], vocabSize: number = names.length) {
		const ids = new Map<string, number>();
		for (const [id, name] of names.entries()) {
			if (typeof name !== "string" || !/^\S+$/.test(name)) {
				throw new OctavoError(
					"ERR_OCTAVO_TOKENIZER",
					`Expected a name without spaces for token ${id} but received ${received(name)}`,
				);
			}
			if (ids.has(name)) {
				throw new OctavoError(
					"ERR_OCTAVO_TOKENIZER",
					`Expected each name once but received ${received(name)} for tokens ${ids.get(name)} and ${id}`,
				);
			}
			ids.set(name, id);
		}
		this.#names = [...names];
		this.#ids = ids;
		this.#vocabSize = vocabSize;
	}

	/** Number of tokens with a name. */
	get size(): number {
		return this.#names.length;
	}

	/**
	 * @param text names apart by white space
	 * @throws {OctavoError} ERR_OCTAVO_TOKENIZER for what is no text, or a word that is no token, with the nearest one
	 */
	encode(text: string): Int32Array {
		if (typeof text !== "string") {
			throw new OctavoError("ERR_OCTAVO_TOKENIZER", `Expected text but received ${received(text)}`);
		}
		const words = text.split(/\s+/).filter(Boolean);
		return Int32Array.from(words, (word) => {
			const id = this.#ids.get(word);
			if (id !== undefined) return id;
			const near = nearest(word, this.#names);
			const hint = near ? `; did you mean ${near}?` : "";
			throw new OctavoError(
				"ERR_OCTAVO_TOKENIZER",
				`Expected words of the vocabulary but received ${received(word)}${hint}`,
			);
		});
	}

	/**
	 * Names of tokens, apart by spaces.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_TOKENIZER for what is no token of the model
	 */
	decode(tokens: Iterable<number>): string {
		return Array.from(checkIds(tokens, this.#vocabSize), (token) => this.name(token)).join(" ");
	}

	/** Name of one token; `#id` where it has none. */
	name(token: number): string {
		return this.#names[token] ?? `#${token}`;
	}

	/** Undefined: names stand for tokens, they are no text to join. */
	bytes(): undefined {
		return undefined;
	}

	/** @throws {OctavoError} ERR_OCTAVO_TOKENIZER always: a list of names has no chat template */
	renderChat(): never {
		throw new OctavoError("ERR_OCTAVO_TOKENIZER", "Expected a chat template but the model has only a vocabulary.json");
	}

	/** @throws {OctavoError} ERR_OCTAVO_TOKENIZER always */
	applyChatTemplate(): never {
		return this.renderChat();
	}
}
