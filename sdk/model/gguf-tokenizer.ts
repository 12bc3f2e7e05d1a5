// The byte-level BPE tokenizer inside a GGUF file, put as tokenizer.json says it. GGUF names the way text is split and does
// not say it; a name unknown here gives no tokenizer, since a wrong split would change every result without a sign.

import { OctavoError, received } from "../errors.js";
import type { GgufMetadata } from "./gguf-config.js";
import type { Tokenizer } from "./tokenizer.js";

const gpt2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const llama3 =
	"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** Ways to split by their names: patterns, one applied after the other. */
const splits: Readonly<Record<string, readonly string[]>> = {
	...{ "gpt-2": [gpt2], smollm: ["\\p{N}", gpt2] },
	...{ "llama-bpe": [llama3], llama3: [llama3], "llama-v3": [llama3] },
};
const control = 3;
const userDefined = 4;

function fail(field: string, expected: string, value: unknown): never {
	throw new OctavoError("ERR_OCTAVO_TOKENIZER", `Expected ${expected} for ${field} but received ${received(value)}`);
}

function list<T>(metadata: GgufMetadata, field: string, type: "string" | "number"): T[] {
	const value = metadata[field] ?? [];
	if (Array.isArray(value) && value.every((item) => typeof item === type)) return value as T[];
	return fail(field, `an array of ${type}s`, value);
}

/**
 * Reads a file's tokenizer.
 *
 * @returns undefined where there is none, or one of a kind that is not read
 * @throws {OctavoError} ERR_OCTAVO_TOKENIZER for one that is wrong
 */
export async function readGgufTokenizer(metadata: GgufMetadata): Promise<Tokenizer | undefined> {
	const split = metadata["tokenizer.ggml.pre"];
	if (metadata["tokenizer.ggml.model"] !== "gpt2" || typeof split !== "string" || !Object.hasOwn(splits, split)) {
		return undefined;
	}
	const tokens = list<string>(metadata, "tokenizer.ggml.tokens", "string");
	const types = list<number>(metadata, "tokenizer.ggml.token_type", "number");
	const isLlama3 = splits[split]![0] === llama3;
	const textOf = (field: string) => tokens[Number(metadata[`tokenizer.ggml.${field}_token_id`])];
	const begin = (metadata["tokenizer.ggml.add_bos_token"] ?? isLlama3) === true ? textOf("bos") : undefined;
	const json = {
		added_tokens: tokens.flatMap((content, id) => {
			const isSpecial = types[id] === control;
			return isSpecial || types[id] === userDefined ? [{ id, content, special: isSpecial, normalized: false }] : [];
		}),
		pre_tokenizer: {
			type: "Sequence",
			pretokenizers: [
				...splits[split]!.map((Regex) => ({ type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false })),
				{ type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
			],
		},
		post_processor: begin === undefined ? null : beginWith(begin, tokens.indexOf(begin)),
		decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
		model: {
			...{ type: "BPE", dropout: null, unk_token: null, ignore_merges: isLlama3 },
			vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
			merges: list<string>(metadata, "tokenizer.ggml.merges", "string"),
		},
	};
	const [{ TextTokenizer }, { ChatTemplate }] = await Promise.all([
		import("./text-tokenizer.js"),
		import("./chat-template.js"),
	]);
	const template = metadata["tokenizer.chat_template"];
	const variables = { bos_token: textOf("bos") ?? "", eos_token: textOf("eos") ?? "" };
	const chat = typeof template === "string" ? new ChatTemplate(template, variables) : undefined;
	return new TextTokenizer(json, {}, chat);
}

function beginWith(token: string, id: number): object {
	const begin = { SpecialToken: { id: token, type_id: 0 } };
	const sequence = (name: string) => ({ Sequence: { id: name, type_id: 0 } });
	return {
		type: "TemplateProcessing",
		single: [begin, sequence("A")],
		pair: [begin, sequence("A"), sequence("B")],
		special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
	};
}
