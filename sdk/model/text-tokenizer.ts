// A tokenizer of a tokenizer.json file. The library splits, merges and decodes; ours are the checks around it (a file may
// be anyone's) and the bytes of single tokens, which it does not give.

import { Tokenizer as Library } from "@huggingface/tokenizers";
import { OctavoError, received } from "../errors.js";
import { boolean, checkOptions } from "../options.js";
import type { ChatMessage, ChatOptions, ChatTemplate } from "./chat-template.js";
import { type ByteNotation, tokenBytes } from "./token-bytes.js";
import { checkIds, type DecodeOptions, type EncodeOptions, type Tokenizer } from "./tokenizer.js";

type Json = Record<string, unknown>;

const encoder = new TextEncoder();
const maxTokenId = 2 ** 24;

function fail(message: string, cause?: unknown): never {
	throw new OctavoError("ERR_OCTAVO_TOKENIZER", message, { cause });
}

function isObject(value: unknown): value is Json {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

// The library takes ids as they come: one that is no whole number, or a huge one, would show only later, elsewhere.
function checkVocabulary(json: Json): number {
	const { model, added_tokens: added } = json;
	if (!isObject(model)) fail(`Expected an object for model in tokenizer.json but received ${received(model)}`);
	if (model.type !== undefined && model.type !== "BPE") {
		fail(`Expected "BPE" for model.type in tokenizer.json but received ${received(model.type)}`);
	}
	const { vocab } = model;
	if (!isObject(vocab)) fail(`Expected an object for model.vocab in tokenizer.json but received ${received(vocab)}`);
	if (!Array.isArray(added ?? [])) fail(`Expected an array for added_tokens but received ${received(added)}`);
	let size = 0;
	const check = (id: unknown, name: unknown) => {
		if (typeof name !== "string" || !Number.isInteger(id) || (id as number) < 0 || (id as number) >= maxTokenId) {
			fail(`Expected tokens with ids from 0 to ${maxTokenId - 1} but received ${received(name)}: ${received(id)}`);
		}
		size = Math.max(size, (id as number) + 1);
	};
	for (const [name, id] of Object.entries(vocab)) check(id, name);
	for (const token of (added ?? []) as unknown[]) check((token as Json | null)?.id, (token as Json | null)?.content);
	return size;
}

function findNotation(decoder: unknown): ByteNotation {
	if (!isObject(decoder)) return "sentence-piece";
	const parts = Array.isArray(decoder.decoders) ? (decoder.decoders as unknown[]) : [decoder];
	return parts.some((part) => isObject(part) && part.type === "ByteLevel") ? "byte-level" : "sentence-piece";
}

/** Turns text into tokens and back, by byte-pair merges. */
export class TextTokenizer implements Tokenizer {
	readonly size: number;
	readonly #library: Library;
	readonly #notation: ByteNotation;
	readonly #added: ReadonlyMap<number, string>;
	readonly #special: ReadonlySet<number>;
	readonly #bytes = new Map<number, Uint8Array>();
	readonly #chat: ChatTemplate | undefined;

	/**
	 * @param json contents of tokenizer.json: a BPE model, byte-level or with byte fallback
	 * @param config contents of tokenizer_config.json
	 * @param chat how conversations are written
	 * @throws {OctavoError} ERR_OCTAVO_TOKENIZER for a file that is no such tokenizer
	 */
	constructor(json: unknown, config: unknown, chat?: ChatTemplate) {
		if (!isObject(json)) fail(`Expected a JSON object in tokenizer.json but received ${received(json)}`);
		if (!isObject(config)) fail(`Expected a JSON object in tokenizer_config.json but received ${received(config)}`);
		this.size = checkVocabulary(json);
		const added = (json.added_tokens ?? []) as { id: number; content: string; special?: unknown }[];
		this.#added = new Map(added.map(({ id, content }) => [id, content]));
		this.#special = new Set(added.filter(({ special }) => special).map(({ id }) => id));
		this.#notation = findNotation(json.decoder);
		this.#chat = chat;
		// What the library insists on may be left out of the file.
		const whole = { added_tokens: [], normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null };
		try {
			this.#library = new Library({ ...whole, ...json }, config);
		} catch (error) {
			fail(`Expected a tokenizer in tokenizer.json but received: ${(error as Error).message}`, error);
		}
	}

	encode(text: string, options: EncodeOptions = {}): Int32Array {
		if (typeof text !== "string") fail(`Expected text but received ${received(text)}`);
		const { addSpecialTokens } = checkOptions("encode()", options, { addSpecialTokens: boolean(true) });
		let ids: number[];
		try {
			({ ids } = this.#library.encode(text, { add_special_tokens: addSpecialTokens }));
		} catch (error) {
			fail(`Expected text that tokenizer.json can split but received: ${(error as Error).message}`, error);
		}
		return Int32Array.from(ids, (id) => {
			if (Number.isInteger(id)) return id;
			return fail("Expected text of the vocabulary but some of it has no token, and there is none for unknown text");
		});
	}

	decode(tokens: Iterable<number>, options: DecodeOptions = {}): string {
		const { skipSpecialTokens } = checkOptions("decode()", options, { skipSpecialTokens: boolean(false) });
		let text = "";
		let run: number[] = [];
		const flush = () => {
			if (run.length > 0) text += this.#join(run);
			run = [];
		};
		for (const token of checkIds(tokens, maxTokenId)) {
			if (skipSpecialTokens && this.#special.has(token)) continue;
			if (this.#library.id_to_token(token) !== undefined) {
				run.push(token);
				continue;
			}
			// A model's vocabulary may be padded beyond its tokenizer's.
			flush();
			text += this.name(token);
		}
		flush();
		return text;
	}

	name(token: number): string {
		const text = this.#library.id_to_token(token);
		if (text === undefined) return `#${token}`;
		const bytes = this.bytes(token);
		try {
			return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
		} catch {
			return Array.from(bytes, (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`).join("");
		}
	}

	bytes(token: number): Uint8Array {
		let bytes = this.#bytes.get(token);
		if (bytes) return bytes;
		const text = this.#library.id_to_token(token) ?? `#${token}`;
		bytes = this.#added.has(token) ? encoder.encode(text) : tokenBytes(text, this.#notation);
		this.#bytes.set(token, bytes);
		return bytes;
	}

	renderChat(messages: readonly ChatMessage[], options?: ChatOptions): string {
		if (!this.#chat) fail("Expected a chat template in tokenizer_config.json or chat_template.jinja but there is none");
		return this.#chat.render(messages, options);
	}

	applyChatTemplate(messages: readonly ChatMessage[], options?: ChatOptions): Int32Array {
		return this.encode(this.renderChat(messages, options), { addSpecialTokens: false });
	}

	#join(tokens: number[]): string {
		try {
			return this.#library.decode(tokens, { clean_up_tokenization_spaces: false });
		} catch (error) {
			fail(`Expected tokens that tokenizer.json can join but received: ${(error as Error).message}`, error);
		}
	}
}
