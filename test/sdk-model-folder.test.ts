// Model folders: configuration fields, shards with an index, generation settings and vocabularies.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { presetFolder, readCheckpoint } from "../sdk/model/checkpoint.js";
import { parseConfig } from "../sdk/model/config.js";
import { NameTokenizer } from "../sdk/model/name-tokenizer.js";
import { encodeSafetensors, tinyConfig, tinyWeights, writeFolder } from "./helpers/checkpoint.js";
import { temporaryFolder } from "./helpers/temporary-folder.js";

test("reads the default model's folder", async () => {
	const { name, config, weights, tokenizer } = await readCheckpoint(presetFolder("recall-tiny"));
	assert.equal(name, "recall-tiny");
	assert.equal(config.numLayers, 4);
	assert.equal(config.headDim, 32);
	assert.equal(config.maxPositions, 1024);
	assert.equal(config.tieWordEmbeddings, false);
	assert.equal(config.bosToken, 1);
	const numParameters = weights.reduce((sum, { sizeBytes }) => sum + sizeBytes / 4, 0);
	assert.equal(numParameters, 656_512);
	assert.equal(tokenizer?.size, 256);
	assert.equal(tokenizer?.decode([1, 2, 3, 16, 143, 144, 255]), "BOS REC QRY k16 k143 f144 f255");
});

test("fills in what a configuration may leave out", () => {
	const { num_key_value_heads, rope_theta, ...rest } = tinyConfig;
	const config = parseConfig(rest);
	assert.equal(config.numKvHeads, 2);
	assert.equal(config.headDim, 4);
	assert.equal(config.ropeTheta, 10_000);
	assert.deepEqual(config.endTokens, []);
});

test("reads RoPE scaling in both spellings, and tokens of generation_config.json", () => {
	const scaling = {
		...{ rope_type: "llama3", factor: 32, low_freq_factor: 1, high_freq_factor: 4 },
		original_max_position_embeddings: 8192,
	};
	const expected = { factor: 32, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 8192 };
	assert.deepEqual(parseConfig({ ...tinyConfig, rope_scaling: scaling }).ropeScaling, expected);
	const nested = parseConfig({
		...tinyConfig,
		rope_theta: undefined,
		rope_parameters: { ...scaling, rope_theta: 5e5 },
	});
	assert.deepEqual(nested.ropeScaling, expected);
	assert.equal(nested.ropeTheta, 5e5);
	assert.equal(parseConfig({ ...tinyConfig, rope_scaling: null }).ropeScaling, undefined);
	const config = parseConfig({ ...tinyConfig, eos_token_id: 3 }, { eos_token_id: [4, 5], bos_token_id: 1 });
	assert.deepEqual(config.endTokens, [4, 5]);
	assert.equal(config.bosToken, 1);
});

const wrongFields: Record<string, [object, string]> = {
	"another architecture": [{ architectures: ["MixtralForCausalLM"] }, "architectures"],
	"another activation": [{ hidden_act: "gelu" }, "hidden_act"],
	"attention biases": [{ attention_bias: true }, "attention_bias"],
	"quantised weights": [{ quantization_config: {} }, "quantization_config"],
	"no layers": [{ num_hidden_layers: undefined }, "num_hidden_layers"],
	"a fractional size": [{ hidden_size: 8.5 }, "hidden_size"],
	"a size as text": [{ vocab_size: "20" }, "vocab_size"],
	"KV heads that do not divide": [{ num_attention_heads: 4, num_key_value_heads: 3 }, "num_key_value_heads"],
	"an odd head size": [{ head_dim: 5 }, "head_dim"],
	"heads that do not divide": [{ num_attention_heads: 3, num_key_value_heads: 3 }, "hidden_size"],
	"no epsilon": [{ rms_norm_eps: 0 }, "rms_norm_eps"],
	"another RoPE scaling": [{ rope_scaling: { type: "yarn", factor: 4 } }, "rope_scaling.rope_type"],
	"RoPE scaling without a factor": [{ rope_scaling: { rope_type: "llama3" } }, "rope_scaling.factor"],
	"an end token outside the vocabulary": [{ eos_token_id: 20 }, "eos_token_id"],
};
for (const [name, [change, field]] of Object.entries(wrongFields)) {
	test(`refuses ${name}, naming ${field}`, () => {
		const message = new RegExp(`for ${field.replace(".", "\\.")} in config\\.json`);
		assert.throws(() => parseConfig({ ...tinyConfig, ...change }), { code: "ERR_OCTAVO_MODEL_CONFIG", message });
	});
}

test("reads shards by their index", async (t) => {
	const weights = Object.entries(tinyWeights());
	const [first, second] = [weights.slice(0, 9), weights.slice(9)].map(Object.fromEntries);
	const names = (part: object, file: string) => Object.keys(part).map((name) => [name, file]);
	const index = {
		weight_map: Object.fromEntries([...names(first!, "a.safetensors"), ...names(second!, "b.safetensors")]),
	};
	const files = {
		"config.json": tinyConfig,
		"model.safetensors.index.json": index,
		"a.safetensors": encodeSafetensors(first!),
		"b.safetensors": encodeSafetensors(second!),
	};
	const folder = await temporaryFolder(t);
	const checkpoint = await readCheckpoint(await writeFolder(join(folder, "sharded"), files));
	assert.deepEqual(checkpoint.weights.map(({ name }) => name).sort(), weights.map(([name]) => name).sort());
	assert.equal(checkpoint.tokenizer, undefined);

	const absent = { weight_map: { ...index.weight_map, "model.extra": "a.safetensors" } };
	const missing = await writeFolder(join(folder, "missing"), { ...files, "model.safetensors.index.json": absent });
	await assert.rejects(readCheckpoint(missing), { code: "ERR_OCTAVO_MODEL_FILE", message: /model\.extra/ });
	const outside = { weight_map: { a: "../sharded/a.safetensors" } };
	const escaping = await writeFolder(join(folder, "escaping"), { ...files, "model.safetensors.index.json": outside });
	await assert.rejects(readCheckpoint(escaping), { code: "ERR_OCTAVO_MODEL_FILE", message: /weight_map/ });
});

test("refuses folders without files and files that are no JSON", async (t) => {
	const folder = await temporaryFolder(t);
	await assert.rejects(readCheckpoint(folder), { code: "ERR_OCTAVO_MODEL_CONFIG", message: /config\.json/ });
	await writeFolder(folder, { "config.json": Buffer.from("{") });
	await assert.rejects(readCheckpoint(folder), { code: "ERR_OCTAVO_MODEL_CONFIG" });
	await writeFolder(folder, { "config.json": tinyConfig });
	await assert.rejects(readCheckpoint(folder), { code: "ERR_OCTAVO_MODEL_FILE", message: /model\.safetensors/ });
	await writeFolder(folder, { "model.safetensors": encodeSafetensors(tinyWeights()), "vocabulary.json": ["a", "a"] });
	await assert.rejects(readCheckpoint(folder), { code: "ERR_OCTAVO_TOKENIZER", message: /"a" for tokens 0 and 1/ });
});

test("a tokenizer round-trips, and names the nearest word", async () => {
	const names = JSON.parse(await readFile(join(presetFolder("recall-tiny"), "vocabulary.json"), "utf8"));
	const tokenizer = new NameTokenizer(names);
	const all = Array.from({ length: 256 }, (_, i) => i);
	assert.deepEqual(Array.from(tokenizer.encode(tokenizer.decode(all))), all);
	assert.throws(() => tokenizer.encode("BOS QRT"), {
		code: "ERR_OCTAVO_TOKENIZER",
		message: /"QRT"; did you mean QRY\?/,
	});
	const padded = new NameTokenizer(["a", "b"], 4);
	assert.equal(padded.decode([1, 3]), "b #3", "a model may have more tokens than names");
	for (const wrong of [[4], [-1], [0.5], [Number.NaN], ["0"], "01", null, 3]) {
		assert.throws(() => padded.decode(wrong as number[]), { code: "ERR_OCTAVO_TOKENIZER" });
	}
	assert.throws(() => tokenizer.decode([0, 256]), { message: "Expected tokens from 0 to 255 but received 256" });
});
