// Tokenizers of tokenizer.json: a byte-level BPE trained here, compared with a plain encoder; text that comes token by token;
// chat templates; sessions that take text.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { Session } from "../sdk/decode/session.js";
import type { OctavoError } from "../sdk/errors.js";
import { loadModel } from "../sdk/load-model.js";
import { ChatTemplate } from "../sdk/model/chat-template.js";
import { presetFolder } from "../sdk/model/checkpoint.js";
import { readTokenizer } from "../sdk/model/read-tokenizer.js";
import { StepText } from "../sdk/model/step-text.js";
import { TextTokenizer } from "../sdk/model/text-tokenizer.js";
import { temporaryFolder } from "./helpers/temporary-folder.js";
import { tinyCheckpoint, uniform, writeTiny } from "./helpers/tiny-checkpoint.js";
import { trainBpe, trainingText } from "./helpers/train-bpe.js";

const specials = ["<|begin|>", "<|end|>", "<|role|>"];
const bpe = trainBpe(trainingText, 400, specials);
const tokenizer = new TextTokenizer(bpe.json, {});

const texts = [
	"The oldest block of the cache",
	"  spaces   and\n\n\tlines ",
	"größere Blöcke, не ключи 缓存 🦉🧵🎈👩‍👩‍👧",
	"unseen: ﷽ ꙮ 𝔘𝔫𝔦 \u0000 \u001b e\u0301 \ufeff",
	"it's 12345 they'll",
	"a .b , c ! don 't",
];

test("encodes as plain merging does, with the token that begins a sequence", () => {
	for (const text of texts) {
		assert.deepEqual(Array.from(tokenizer.encode(text, { addSpecialTokens: false })), bpe.encode(text), text);
		assert.deepEqual(Array.from(tokenizer.encode(text)), [0, ...bpe.encode(text)], text);
	}
	assert.deepEqual(Array.from(tokenizer.encode("")), [0]);
	assert.deepEqual(Array.from(tokenizer.encode("<|end|>the<|role|>", { addSpecialTokens: false })), [
		1,
		...bpe.encode("the"),
		2,
	]);
	assert.ok(bpe.encode(texts[0]!).length < texts[0]!.length / 2, "merges are used");
	assert.equal(tokenizer.size, 400);
});

test("decodes to the text that was encoded", () => {
	for (const text of texts) {
		assert.equal(tokenizer.decode(tokenizer.encode(text, { addSpecialTokens: false })), text);
		assert.equal(tokenizer.decode(tokenizer.encode(text)), `<|begin|>${text}`);
		assert.equal(tokenizer.decode(tokenizer.encode(text), { skipSpecialTokens: true }), text);
	}
	assert.equal(tokenizer.decode([]), "");
	assert.equal(tokenizer.decode([9999]), "#9999");
	for (const wrong of [[-1], [1.5], [2 ** 24], ["a"], "12", undefined]) {
		assert.throws(() => tokenizer.decode(wrong as number[]), { code: "ERR_OCTAVO_TOKENIZER" });
	}
	assert.throws(() => tokenizer.decode([1], { skipSpecial: true } as object), { code: "ERR_OCTAVO_OPTION" });
});

test("bytes and names of single tokens", () => {
	for (const [id, bytes] of bpe.tokenBytes.entries()) {
		assert.deepEqual(Buffer.from(tokenizer.bytes(id)), bytes, `token ${id}`);
	}
	const [space] = bpe.encode(" the");
	assert.equal(tokenizer.name(space!), " the");
	assert.equal(tokenizer.name(0), "<|begin|>");
	assert.equal(tokenizer.name(bpe.tokenBytes.findIndex((bytes) => bytes.equals(Buffer.of(0xe2)))), "<0xE2>");
	assert.equal(tokenizer.name(400), "#400");
});

test("text of steps joins to the text, and never shows part of a character", () => {
	const random = uniform(4);
	const sequences = texts.map((text) => bpe.encode(text));
	for (let i = 0; i < 200; i++) sequences.push(Array.from({ length: 40 }, () => 3 + Math.floor(random() * 397)));
	let numHeldBack = 0;
	for (const [i, sequence] of sequences.entries()) {
		const stepText = new StepText(tokenizer);
		const pieces = sequence.map((token, step) => stepText.add(token, step + 1));
		numHeldBack += pieces.filter((piece) => piece === "").length;
		const whole = Buffer.concat(sequence.map((token) => bpe.tokenBytes[token]!)).toString("utf8");
		// What is unfinished at the very end is not text yet; Buffer shows it as replacement characters.
		const joined = pieces.join("");
		assert.ok(whole.startsWith(joined) && /^\ufffd*$/.test(whole.slice(joined.length)), `sequence ${i}`);
		if (i < texts.length) assert.equal(joined, texts[i]);
		if (i < texts.length) assert.ok(!joined.includes("\ufffd"), "no character is broken");
	}
	assert.ok(numHeldBack > 20, "characters were spread over tokens");
});

test("text of steps is right again after going back", () => {
	const tokens = Array.from(Buffer.from("a🦉b"), (byte) => bpe.tokenBytes.findIndex((b) => b.equals(Buffer.of(byte))));
	const stepText = new StepText(tokenizer);
	const read = (from: number) => tokens.slice(from).map((token, i) => stepText.add(token, from + i));
	assert.deepEqual(read(0), ["a", "", "", "", "🦉", "b"]);
	for (const from of [3, 1, 5, 2, 4, 0]) assert.equal(read(from).join(""), from > 4 ? "b" : from > 0 ? "🦉b" : "a🦉b");
});

test("a character that is unfinished at a fork or a snapshot is finished there", async (t) => {
	const files = { "tokenizer.json": bpe.json };
	using model = await loadModel(await writeTiny(await temporaryFolder(t), tinyCheckpoint({ vocabSize: 400 }), files));
	using session = model.session({ blockSize: 4 });
	const idOf = (byte: number) => bpe.tokenBytes.findIndex((bytes) => bytes.equals(Buffer.of(byte)));
	const [first, second, ...rest] = Array.from(Buffer.from("🦉"), idOf);
	const feed = (to: Session, tokens: number[]) => to.feedSync(tokens).map(({ text }) => text);
	session.prefillSync([idOf(0x61)]);
	assert.deepEqual(feed(session, [first!, second!]), ["", ""]);
	using fork = session.fork();
	using snapshot = session.snapshot();
	assert.deepEqual(feed(session, rest), ["", "🦉"]);
	session.rewind({ tokens: 0 });
	session.prefillSync([idOf(0x61)]);
	assert.deepEqual(feed(session, [idOf(0x62), idOf(0x63), idOf(0x64)]), ["b", "c", "d"]);
	session.rewind(snapshot);
	assert.deepEqual(feed(session, rest), ["", "🦉"]);
	assert.deepEqual(feed(fork, rest), ["", "🦉"]);
});

test("vocabularies with byte fallback, as SentencePiece makes them", () => {
	const pieces = ["<unk>", "<s>", "</s>", "▁", "a", "b", "▁a", "▁ab", "ab"];
	const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`);
	const vocab = Object.fromEntries([...pieces, ...bytes].map((piece, id) => [piece, id]));
	const json = {
		added_tokens: [{ id: 1, content: "<s>", special: true }],
		normalizer: {
			type: "Sequence",
			normalizers: [
				{ type: "Prepend", prepend: "▁" },
				{ type: "Replace", pattern: { String: " " }, content: "▁" },
			],
		},
		pre_tokenizer: null,
		post_processor: null,
		decoder: {
			type: "Sequence",
			decoders: [
				{ type: "Replace", pattern: { String: "▁" }, content: " " },
				{ type: "ByteFallback" },
				{ type: "Fuse" },
				{ type: "Strip", content: " ", start: 1, stop: 0 },
			],
		},
		model: {
			...{ type: "BPE", unk_token: "<unk>", fuse_unk: true, byte_fallback: true, vocab },
			merges: ["a b", "▁ a", "▁ ab"],
		},
	};
	const sentencePiece = new TextTokenizer(json, {});
	const tokens = sentencePiece.encode("ab aé");
	const id = (byte: number) => vocab[bytes[byte]!]!;
	assert.deepEqual(Array.from(tokens), [7, 6, id(0xc3), id(0xa9)]);
	assert.equal(sentencePiece.decode(tokens), "ab aé");
	const stepText = new StepText(sentencePiece);
	assert.deepEqual(
		Array.from(tokens, (token, i) => stepText.add(token, i)),
		[" ab", " a", "", "é"],
	);
	assert.equal(sentencePiece.name(id(0xc3)), "<0xC3>");
});

test("splits numbers and words as the pattern of Llama 3 says", () => {
	const pattern =
		"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
	const json = structuredClone(bpe.json) as { pre_tokenizer: { pretokenizers: { pattern?: object }[] }; model: object };
	json.pre_tokenizer.pretokenizers[0]!.pattern = { Regex: pattern };
	const tokens = ["1", "2", "3", "4", "12", "123", "1234", "'", "S", "'S", "A", "A'", "(", "b", "(b"];
	const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
	// The newer of two spellings of merges that are in use.
	const merges = ["1 2", "12 3", "123 4", "A '", "' S", "( b"].map((pair) => pair.split(" "));
	json.model = { ...json.model, vocab, merges };
	const names = (text: string, from: object) => {
		const made = new TextTokenizer({ ...from, post_processor: null, added_tokens: [] }, {});
		return Array.from(made.encode(text), (token) => made.name(token));
	};
	assert.deepEqual(names("12341", json), ["123", "4", "1"]);
	assert.deepEqual(names("A'S(b", json), ["A", "'S", "(b"]);
	const gpt2 = { ...json, pre_tokenizer: bpe.json.pre_tokenizer };
	assert.deepEqual(names("12341", gpt2), ["1234", "1"]);
});

const template =
	"{{ bos_token }}{% for message in messages %}{% if message.role == 'tool' %}{{ raise_exception('no tools') }}{% endif %}" +
	"<|role|>{{ message['role'] }}\n{{ message['content'] | trim }}<|end|>{% endfor %}" +
	"{% if add_generation_prompt %}<|role|>assistant\n{% endif %}{{ suffix }}";
const messages = [
	{ role: "system", content: "Keep the keys." },
	{ role: "user", content: "  the blocks? " },
];
const expectedChat =
	"<|begin|><|role|>system\nKeep the keys.<|end|><|role|>user\nthe blocks?<|end|><|role|>assistant\n";

test("chat templates of each place where models keep them", async (t) => {
	const tokenizerConfig = { bos_token: { content: "<|begin|>" }, eos_token: "<|end|>" };
	const places: Record<string, Record<string, unknown>> = {
		text: { "tokenizer_config.json": { ...tokenizerConfig, chat_template: template } },
		named: {
			"tokenizer_config.json": {
				...tokenizerConfig,
				chat_template: [
					{ name: "tool_use", template: "no" },
					{ name: "default", template },
				],
			},
		},
		file: {
			"tokenizer_config.json": { ...tokenizerConfig, chat_template: "no" },
			"chat_template.jinja": Buffer.from(template),
		},
	};
	const checkpoint = tinyCheckpoint({ vocabSize: 400 });
	const folder = await temporaryFolder(t);
	for (const [place, files] of Object.entries(places)) {
		const all = { ...files, "tokenizer.json": bpe.json };
		const model = await loadModel(await writeTiny(join(folder, place), checkpoint, all));
		const chat = model.tokenizer!;
		assert.equal(chat.renderChat(messages), expectedChat, place);
		const tokens = chat.applyChatTemplate(messages);
		assert.equal(chat.decode(tokens), expectedChat);
		assert.equal(tokens.filter((token) => token === 0).length, 1, "begins once");
		assert.ok(!chat.renderChat(messages, { addGenerationPrompt: false }).endsWith("assistant\n"));
		assert.ok(chat.renderChat(messages, { variables: { suffix: "!" } }).endsWith("!"));
		assert.throws(() => chat.renderChat([{ role: "tool", content: "" }]), {
			code: "ERR_OCTAVO_TOKENIZER",
			message: /no tools/,
		});
		assert.throws(() => chat.applyChatTemplate("hello" as never), { code: "ERR_OCTAVO_TOKENIZER" });
		assert.throws(() => chat.applyChatTemplate([{ content: "" }] as never), { message: /messages\[0\]/ });
		assert.throws(() => chat.applyChatTemplate(messages, { addPrompt: true } as object), { code: "ERR_OCTAVO_OPTION" });
		await model.save(join(folder, "saved"));
		assert.equal((await loadModel(join(folder, "saved"))).tokenizer!.renderChat(messages), expectedChat);
		model.close();
	}
	const broken = { "tokenizer.json": bpe.json, "tokenizer_config.json": { chat_template: "{% if %}" } };
	await assert.rejects(loadModel(await writeTiny(join(folder, "broken"), checkpoint, broken)), {
		code: "ERR_OCTAVO_TOKENIZER",
		message: /Jinja/,
	});
	assert.throws(() => tokenizer.renderChat(messages), { message: /there is none/ });
});

test("a chat template reaches nothing of this program", () => {
	const attempts = [
		"{{ messages.constructor.constructor('globalThis.reached = true')() }}",
		"{{ ''.constructor.constructor('globalThis.reached = true')() }}",
		"{{ raise_exception.constructor('globalThis.reached = true')() }}",
		"{{ messages.__proto__.constructor.constructor('globalThis.reached = true')() }}",
		"{% set messages.__proto__.polluted = 1 %}",
		"{{ range.call.constructor('globalThis.reached = true')() }}",
		"{{ process.exit() }}",
		"{% include '/etc/passwd' %}",
	];
	for (const attempt of attempts) {
		try {
			const text = new ChatTemplate(attempt, {}).render(messages);
			assert.ok(!text.includes("root:"), attempt);
		} catch (error) {
			assert.equal((error as OctavoError).code, "ERR_OCTAVO_TOKENIZER", `${attempt}: ${error}`);
		}
		assert.ok(!("reached" in globalThis), attempt);
		assert.ok(!("polluted" in {}), attempt);
	}
});

test("a session takes text, and its steps give text", async (t) => {
	const folder = await temporaryFolder(t);
	const files = { "tokenizer.json": bpe.json };
	using model = await loadModel(await writeTiny(folder, tinyCheckpoint({ vocabSize: 400 }), files));
	using session = model.session({ seed: 9 });
	const prompt = "The keys, the 🦉";
	const step = await session.prefill(prompt);
	assert.equal(step.numTokens, 1 + bpe.encode(prompt).length);
	assert.deepEqual(Array.from(session.tokens), [0, ...bpe.encode(prompt)]);
	// Text that is fed goes on with the sequence: nothing is put before it.
	const fed = await session.feed(" values");
	assert.deepEqual(
		fed.map(({ token }) => token),
		bpe.encode(" values"),
	);
	assert.equal(fed.map(({ text }) => text).join(""), " values");
	const texts = [];
	for await (const { text } of session.steps({ maxTokens: 60, endTokens: [], sampling: { temperature: 2 } })) {
		texts.push(text);
	}
	const whole = Buffer.concat(Array.from(session.tokens.slice(-60), (token) => bpe.tokenBytes[token]!)).toString();
	assert.ok(whole.startsWith(texts.join("")) && whole.length - texts.join("").length <= 3);
	assert.ok(session.text().startsWith(`<|begin|>${prompt} values`), "the sequence reads as text");
	assert.equal(session.topTokens(3).length, 3);
	const padded = await loadModel(await writeTiny(join(folder, "padded"), tinyCheckpoint({ vocabSize: 410 }), files));
	const other = padded.session();
	await other.prefill([405, 3]);
	assert.match(other.text(), /^#405/);
});

test("files that are no tokenizer are refused by name", async (t) => {
	const folder = await temporaryFolder(t);
	const { model } = bpe.json as { model: object };
	const wrong: Record<string, unknown> = {
		"no object": [],
		"no model": { ...bpe.json, model: null },
		"a model of another kind": { ...bpe.json, model: { ...model, type: "Unigram" } },
		"an id that is no number": { ...bpe.json, model: { ...model, vocab: { a: "1" } } },
		"an id beyond all": { ...bpe.json, model: { ...model, vocab: { a: 1e9 } } },
		"an added token without text": { ...bpe.json, added_tokens: [{ id: 1 }] },
		"an unknown part": { ...bpe.json, pre_tokenizer: { type: "Magic" } },
		"no merges": { ...bpe.json, model: { ...model, merges: undefined } },
	};
	for (const [name, json] of Object.entries(wrong)) {
		await writeTiny(folder, tinyCheckpoint(), { "tokenizer.json": json });
		await assert.rejects(readTokenizer(folder, 400), { code: "ERR_OCTAVO_TOKENIZER" }, name);
	}
	await writeTiny(folder, tinyCheckpoint(), { "tokenizer.json": Buffer.from("{"), "vocabulary.json": ["a"] });
	await assert.rejects(readTokenizer(folder, 400), { code: "ERR_OCTAVO_TOKENIZER", message: /tokenizer\.json/ });
});

test("a list of names is a tokenizer without chat", async () => {
	const { tokenizer: names } = await loadModel();
	assert.throws(() => names!.applyChatTemplate(messages), { code: "ERR_OCTAVO_TOKENIZER", message: /chat template/ });
	const list = JSON.parse(await readFile(join(presetFolder("recall-tiny"), "vocabulary.json"), "utf8")) as string[];
	assert.equal(names!.name(20), list[20]);
});
