// What a session asks of a tokenizer, whichever kind a model's folder has.

import { OctavoError, received } from "../errors.js";
import type { ChatMessage, ChatOptions } from "./chat-template.js";

/** How text becomes tokens. */
export interface EncodeOptions {
	/** Adds what the tokenizer puts around a whole prompt, such as the token that begins a sequence. Default true. */
	addSpecialTokens?: boolean;
}

/** How tokens become text. */
export interface DecodeOptions {
	/** Leaves out tokens that are no text, such as those that begin and end a sequence. Default false. */
	skipSpecialTokens?: boolean;
}

/**
 * Turns text into tokens and back. `loadModel` makes it from the model's folder: of tokenizer.json, or of vocabulary.json
 * (names of tokens, apart by spaces).
 *
 * @example
 * ```ts
 * import { loadModel } from "octavo";
 * const { tokenizer } = await loadModel();
 * const tokens = tokenizer!.encode("BOS REC k20");
 * console.log(tokens.join(), tokenizer!.decode(tokens));   // 1,2,20 BOS REC k20
 * ```
 */
export interface Tokenizer {
	/** Number of tokens. */
	readonly size: number;
	/** @throws {OctavoError} ERR_OCTAVO_TOKENIZER for text that is none of its vocabulary */
	encode(text: string, options?: EncodeOptions): Int32Array;
	/**
	 * Text of a sequence; bytes that are no UTF-8 come as U+FFFD. A model may have more tokens than its tokenizer has names
	 * for: such a one comes as `#id`.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_TOKENIZER for what is no id of a token
	 */
	decode(tokens: Iterable<number>, options?: DecodeOptions): string;
	/** A token by itself, to show: its text, or `<0xE2>` for bytes that are no whole character; `#id` for no token. */
	name(token: number): string;
	/** UTF-8 bytes that a token adds to the text; undefined where tokens are words apart by spaces. */
	bytes(token: number): Uint8Array | undefined;
	/**
	 * Text of a conversation by the model's chat template.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_TOKENIZER where there is none, or where it refuses the messages
	 */
	renderChat(messages: readonly ChatMessage[], options?: ChatOptions): string;
	/**
	 * Tokens of a conversation by the model's chat template, for `session.prefill`. The template writes its special
	 * tokens itself, so none are added.
	 *
	 * @throws {OctavoError} as `renderChat`
	 */
	applyChatTemplate(messages: readonly ChatMessage[], options?: ChatOptions): Int32Array;
}

/**
 * Looks at tokens that are to become text.
 *
 * @param size ids are below it
 * @throws {OctavoError} ERR_OCTAVO_TOKENIZER for what is no array, or other iterable, of ids
 */
export function* checkIds(tokens: Iterable<number>, size: number): Iterable<number> {
	if (typeof tokens !== "object" || tokens === null || !(Symbol.iterator in tokens)) {
		throw new OctavoError("ERR_OCTAVO_TOKENIZER", `Expected an array of tokens but received ${received(tokens)}`);
	}
	for (const token of tokens) {
		if (Number.isInteger(token) && token >= 0 && token < size) yield token;
		else {
			const message = `Expected tokens from 0 to ${size - 1} but received ${received(token)}`;
			throw new OctavoError("ERR_OCTAVO_TOKENIZER", message);
		}
	}
}
