// A program of its own, so that a crash is seen as one: spoils the files of small models in many ways, opens and runs each,
// and prints how that ended, a JSON line a model. Arguments: seed, how many, folder to work in.

import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { OctavoError } from "../../sdk/errors.js";
import { loadModel } from "../../sdk/load-model.js";
import { writeFolder } from "./checkpoint.js";
import { encodeGguf } from "./gguf.js";
import { tinyCheckpoint, uniform } from "./tiny-checkpoint.js";
import { trainBpe, trainingText } from "./train-bpe.js";

const [seed = "1", count = "10", root = "."] = process.argv.slice(2);
const random = uniform(Number(seed));
const below = (n: number) => Math.floor(random() * n);
const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;

const hostileValues: unknown[] = [
	...[null, true, false, 0, 1, -1, 2, 0.5, -0.5, 3, 7, 255, 256, 65_536, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53, 1e300],
	...["", "x", "F64", "I8", "llama3", "../../etc/passwd", "__proto__", "\u0000", "a".repeat(70_000), "(?:a+)+$", "("],
	...[
		[],
		[[]],
		{},
		{ a: {} },
		[0],
		[-1],
		[2 ** 53, 2],
		[1e300, 1e300],
		[null],
		["x"],
		{ type: "BPE" },
		{ type: "Sequence" },
	],
];

function renameKey(object: Record<string, unknown>, from: string, to: string): void {
	object[to] = object[from];
	delete object[from];
}

/** Replaces, removes, renames, adds or moves one value somewhere in a JSON value. */
function spoilJson(value: unknown): unknown {
	if (typeof value !== "object" || value === null || random() < 0.05) return pick(hostileValues);
	const copy = structuredClone(value) as Record<string, unknown>;
	const keys = Object.keys(copy);
	const key = keys.length > 0 ? pick(keys) : "a";
	const how = random();
	if (how < 0.6) copy[key] = spoilJson(copy[key]);
	else if (how < 0.75) copy[key] = pick(hostileValues);
	else if (how < 0.82) delete copy[key];
	else if (how < 0.9) renameKey(copy, key, `${key}x`);
	else if (how < 0.96) copy[pick(["type", "normalizer", "rope_scaling", "x", key])] = pick(hostileValues);
	else copy[key] = copy[pick(keys.length > 0 ? keys : ["a"])];
	return copy;
}

function spoilBytes(bytes: Buffer): Buffer {
	const how = random();
	if (how < 0.3) return bytes.subarray(0, below(bytes.length));
	const copy = Buffer.from(bytes);
	if (how < 0.4) return Buffer.concat([copy, Buffer.alloc(1 + below(100), below(256))]);
	// Mostly at the front, where names and lengths are.
	const reach = random() < 0.7 ? Math.min(copy.length, 3000) : copy.length;
	for (let i = 1 + below(6); i > 0; i--) {
		const at = below(reach);
		if (random() < 0.5) copy[at] = below(256);
		else copy[at]! ^= 1 << below(8);
	}
	return copy;
}

function spoilSafetensors(bytes: Buffer): Buffer {
	const how = random();
	if (how < 0.4) return spoilBytes(bytes);
	const headerEnd = 8 + Number(bytes.readBigUInt64LE());
	if (how < 0.5) {
		const copy = Buffer.from(bytes);
		const lengths = [0n, 1n, 2n, BigInt(headerEnd), BigInt(bytes.length), 2n ** 31n, 2n ** 63n, 2n ** 64n - 1n];
		copy.writeBigUInt64LE(random() < 0.5 ? pick(lengths) : BigInt(below(bytes.length)));
		return copy;
	}
	const header = Buffer.from(JSON.stringify(spoilJson(JSON.parse(bytes.toString("utf8", 8, headerEnd)))));
	const length = Buffer.alloc(8);
	length.writeBigUInt64LE(BigInt(header.length));
	return Buffer.concat([length, header, bytes.subarray(headerEnd)]);
}

function spoil(name: string, content: unknown): Buffer {
	if (name.endsWith(".safetensors")) return spoilSafetensors(content as Buffer);
	if (name.endsWith(".gguf")) return spoilBytes(content as Buffer);
	const text = Buffer.from(JSON.stringify(content));
	return random() < 0.3 ? spoilBytes(text) : Buffer.from(JSON.stringify(spoilJson(content)) ?? "");
}

/** Opens a model and uses all of it. */
async function use(path: string): Promise<string> {
	try {
		using model = await loadModel(path);
		const text = "The größte 🦉 block<|end|>";
		const tokens = model.tokenizer ? model.tokenizer.encode(text) : Int32Array.of(3, 4, 5);
		model.tokenizer?.decode(tokens);
		if (!path.endsWith(".gguf")) model.tokenizer?.applyChatTemplate([{ role: "user", content: text }]);
		using session = model.session();
		await session.prefill(tokens.slice(0, 20));
		await session.run({ maxTokens: 3 });
		session.text();
		session.topTokens();
		return "opened";
	} catch (error) {
		if (error instanceof OctavoError && error.code.startsWith("ERR_OCTAVO_")) return error.code;
		return `another error: ${(error as Error)?.stack ?? error}`;
	}
}

const bpe = trainBpe(trainingText, 300, ["<|begin|>", "<|end|>"]);
const texts = {
	"tokenizer.json": bpe.json,
	"tokenizer_config.json": {
		...{ bos_token: "<|begin|>", eos_token: { content: "<|end|>" }, clean_up_tokenization_spaces: true },
		chat_template: "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}<|end|>{% endfor %}",
	},
	"generation_config.json": { eos_token_id: [1, 2], do_sample: true, temperature: 0.7, top_k: 40, top_p: 0.9 },
};
const inFolders = [tinyCheckpoint({ scaled: true }), tinyCheckpoint({ dtype: "BF16", numShards: 3, tied: true })].map(
	(tiny, i) => ({ folder: join(root, `model-${i}`), file: "", files: { ...tiny.files, ...texts } }),
);
const gguf = { "tiny.gguf": encodeGguf(tinyCheckpoint()), "tokenizer.json": bpe.json };
const models = [...inFolders, { folder: join(root, "gguf"), file: "tiny.gguf", files: gguf }];
for (const { folder, file, files } of models) {
	await writeFolder(folder, files);
	const outcome = await use(join(folder, file));
	if (outcome !== "opened") throw new Error(`expected a sound model but received ${outcome}`);
}
for (let i = 0; i < Number(count); i++) {
	const { folder, file, files } = pick(models);
	const [name, content] = pick(Object.entries<unknown>(files));
	const bytes = spoil(name, content);
	// Said before it is tried: should it crash, this line tells what did.
	process.stdout.write(`${JSON.stringify({ begin: i, name, sizeBytes: bytes.length })}\n`);
	const path = join(folder, name);
	await rename(path, `${path}.sound`);
	await writeFile(path, bytes);
	const outcome = await use(join(folder, file));
	await rename(`${path}.sound`, path);
	process.stdout.write(`${JSON.stringify({ end: i, outcome })}\n`);
}
