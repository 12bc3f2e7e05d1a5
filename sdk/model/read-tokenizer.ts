// Makes the tokenizer of a model folder: of tokenizer.json with tokenizer_config.json and a chat template, or of
// vocabulary.json. The library for the former is loaded only where it is needed.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { OctavoError, received } from "../errors.js";
import { readOptionalJson } from "./json-file.js";
import { NameTokenizer } from "./name-tokenizer.js";
import type { Tokenizer } from "./tokenizer.js";

/** Files that `readTokenizer` looks at: those that go with a model when it is copied. */
export const tokenizerFiles: readonly string[] = [
	...["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "vocabulary.json"],
];

const code = "ERR_OCTAVO_TOKENIZER";

type Json = Record<string, unknown>;

/**
 * Reads a folder's tokenizer.
 *
 * @param vocabSize tokens of the model; names beyond are refused
 * @returns undefined where the folder has none
 * @throws {OctavoError} ERR_OCTAVO_TOKENIZER for files that are none
 */
export async function readTokenizer(folder: string, vocabSize: number): Promise<Tokenizer | undefined> {
	const json = await readOptionalJson(join(folder, "tokenizer.json"), code);
	if (json !== undefined) return readText(folder, json);
	const names = await readOptionalJson(join(folder, "vocabulary.json"), code);
	if (names === undefined) return undefined;
	if (Array.isArray(names) && names.length <= vocabSize) {
		return new NameTokenizer(names as string[], vocabSize);
	}
	const expected = `an array of at most vocab_size (${vocabSize}) names`;
	throw new OctavoError(code, `Expected ${expected} in vocabulary.json but received ${received(names)}`);
}

async function readText(folder: string, json: unknown): Promise<Tokenizer> {
	const [{ TextTokenizer }, { ChatTemplate }] = await Promise.all([
		import("./text-tokenizer.js"),
		import("./chat-template.js"),
	]);
	const config = (await readOptionalJson(join(folder, "tokenizer_config.json"), code)) ?? {};
	const isObject = typeof config === "object" && config !== null && !Array.isArray(config);
	const settings = (isObject ? config : {}) as Json;
	const source = (await readSource(join(folder, "chat_template.jinja"))) ?? namedTemplate(settings.chat_template);
	const chat = source === undefined ? undefined : new ChatTemplate(source, specialTokens(settings));
	return new TextTokenizer(json, config, chat);
}

async function readSource(path: string): Promise<string | undefined> {
	try {
		return await readFile(path, "utf8");
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
		const message = `Expected a readable file at ${path} but received: ${(error as Error).message}`;
		throw new OctavoError(code, message, { cause: error });
	}
}

// One template, or a list of named ones, of which `default` is for conversations.
function namedTemplate(value: unknown): string | undefined {
	if (value === undefined || value === null || typeof value === "string") return value ?? undefined;
	const named = Array.isArray(value) ? (value as (Json | null)[]) : [];
	const template = named.find((entry) => entry?.name === "default")?.template;
	if (typeof template === "string") return template;
	const expected = "a text, or a list with a template named default, for chat_template in tokenizer_config.json";
	throw new OctavoError(code, `Expected ${expected} but received ${received(value)}`);
}

// Each is a text, or an object whose content is the text.
function specialTokens(config: Json): Record<string, string> {
	const tokens: Record<string, string> = {};
	for (const [key, value] of Object.entries(config)) {
		if (!/^[a-z]+_token$/.test(key)) continue;
		const text = typeof value === "string" ? value : (value as Json | null)?.content;
		if (typeof text === "string") tokens[key] = text;
	}
	return tokens;
}
