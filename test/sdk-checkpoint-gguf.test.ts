// GGUF files: the same logits as the checkpoint they were made of; other kinds of files are refused by name.

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { loadModel } from "../sdk/load-model.js";
import { encodeGguf, type GgufOptions } from "./helpers/gguf.js";
import { frequencies64, llamaLogits64 } from "./helpers/llama-float64.js";
import { temporaryFolder } from "./helpers/temporary-folder.js";
import { type TinyOptions, tinyCheckpoint, uniform, writeTiny } from "./helpers/tiny-checkpoint.js";
import { trainBpe, trainingText } from "./helpers/train-bpe.js";

const random = uniform(5);
const tokens = Array.from({ length: 60 }, () => Math.floor(random() * 300));

for (const kind of [{}, { dtype: "F16" }, { dtype: "BF16", tied: true }] as TinyOptions[]) {
	test(`a GGUF file is the checkpoint it was made of: ${JSON.stringify(kind)}`, async (t) => {
		const folder = await temporaryFolder(t);
		const checkpoint = tinyCheckpoint(kind);
		const path = join(folder, "tiny.gguf");
		const bytes = encodeGguf(checkpoint, kind.dtype ? { dtype: kind.dtype } : {});
		await writeFile(path, bytes);
		using model = await loadModel(path);
		using original = await loadModel(await writeTiny(join(folder, "original"), checkpoint));
		assert.equal(model.name, "tiny.gguf");
		const { rmsNormEps, ...config } = model.config;
		const { rmsNormEps: expectedEps, ...expected } = original.config;
		assert.deepEqual(config, expected);
		assert.equal(Math.fround(expectedEps), rmsNormEps);
		for (const name of original.weightNames) {
			assert.deepEqual(model.weight(name).data, original.weight(name).data, name);
		}
		using session = model.session();
		session.prefillSync(tokens);
		const logits = llamaLogits64(checkpoint.config, checkpoint.weights, tokens).at(-1)!;
		for (const [i, logit] of session.logits.data.entries()) {
			assert.ok(Math.abs(Number(logit) - logits[i]!) < (kind.dtype === "BF16" ? 3e-2 : 1e-4), `logit ${i}`);
		}
		assert.ok((await readFile(path)).equals(bytes), "the file is as it was");
		await model.save(join(folder, "saved"));
		using saved = await loadModel(join(folder, "saved"));
		for (const name of original.weightNames) {
			assert.deepEqual(saved.weight(name).data, original.weight(name).data, name);
		}
	});
}

test("Llama 3 scaling is known by its factors", async (t) => {
	const folder = await temporaryFolder(t);
	const checkpoint = tinyCheckpoint();
	const plain = { ...checkpoint.config, rope_theta: 500_000, rope_scaling: null };
	const path = join(folder, "scaled.gguf");
	const factorsOf = (originalMaxPositions: number) => {
		const limits = { low_freq_factor: 1, high_freq_factor: 4 };
		const scaling = { factor: 32, ...limits, original_max_position_embeddings: originalMaxPositions };
		const after = frequencies64({ ...plain, rope_scaling: scaling });
		return frequencies64(plain).map((frequency, i) => frequency / after[i]!);
	};
	for (const originalMaxPositions of [8192, 300]) {
		const frequencyFactors = factorsOf(originalMaxPositions);
		assert.ok(frequencyFactors.some((f) => f === 1) && frequencyFactors.some((f) => f > 1 && f < 31), "three cases");
		await writeFile(path, encodeGguf({ ...checkpoint, config: plain }, { frequencyFactors }));
		const { config } = await loadModel(path);
		const expected = { factor: 32, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions };
		assert.deepEqual(config.ropeScaling, expected);
	}
	const frequencyFactors = factorsOf(8192);
	const other = frequencyFactors.map((factor, i) => (i === 5 ? factor * 1.1 : factor));
	await writeFile(path, encodeGguf({ ...checkpoint, config: plain }, { frequencyFactors: other }));
	await assert.rejects(loadModel(path), { code: "ERR_OCTAVO_MODEL_CONFIG", message: /rope_freqs/ });
});

const bpe = trainBpe(trainingText, 300, ["<|begin|>", "<|end|>"]);
const { vocab, merges } = bpe.json.model as { vocab: Record<string, number>; merges: string[] };
const vocabulary = Object.keys(vocab).sort((a, b) => vocab[a]! - vocab[b]!);
const tokenizerMetadata: NonNullable<GgufOptions["metadata"]> = {
	"tokenizer.ggml.model": { text: "gpt2" },
	"tokenizer.ggml.pre": { text: "gpt-2" },
	"tokenizer.ggml.tokens": { texts: vocabulary },
	"tokenizer.ggml.token_type": { u32s: vocabulary.map((_, id) => (id < 2 ? 3 : 1)) },
	"tokenizer.ggml.merges": { texts: merges },
	"tokenizer.ggml.add_bos_token": { truth: true },
	"tokenizer.chat_template": { text: "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}" },
};

test("the tokenizer inside a file is the one it was made of", async (t) => {
	const folder = await temporaryFolder(t);
	const path = join(folder, "text.gguf");
	const open = async (changes: NonNullable<GgufOptions["metadata"]> = {}) => {
		await writeFile(path, encodeGguf(tinyCheckpoint(), { metadata: { ...tokenizerMetadata, ...changes } }));
		return (await loadModel(path)).tokenizer;
	};
	const text = "The größte 🦉 it's 12345";
	const tokenizer = (await open())!;
	assert.deepEqual(Array.from(tokenizer.encode(text)), [0, ...bpe.encode(text)]);
	assert.equal(tokenizer.decode(bpe.encode(text)), text);
	assert.equal(tokenizer.renderChat([{ role: "user", content: "hi" }]), "<|begin|>hi<|end|>");
	assert.deepEqual(
		Array.from((await open({ "tokenizer.ggml.add_bos_token": { truth: false } }))!.encode("a")),
		bpe.encode("a"),
	);
	const llama3 = (await open({ "tokenizer.ggml.pre": { text: "llama-bpe" } }))!;
	assert.equal(llama3.decode(llama3.encode(text, { addSpecialTokens: false })), text);
	assert.equal(await open({ "tokenizer.ggml.pre": { text: "unheard-of" } }), undefined);
	assert.equal(await open({ "tokenizer.ggml.model": { text: "llama" } }), undefined);
	await assert.rejects(open({ "tokenizer.ggml.merges": { u32: 1 } }), {
		code: "ERR_OCTAVO_TOKENIZER",
		message: /merges/,
	});
	// A tokenizer.json beside the file says more, and comes first.
	await writeTiny(folder, tinyCheckpoint(), { "vocabulary.json": ["x", "y"] });
	assert.equal((await open())!.size, 2);
});

const wrong: Record<string, [GgufOptions, string, RegExp]> = {
	"another architecture": [{ metadata: { "general.architecture": { text: "qwen2" } } }, "CONFIG", /architecture/],
	"quantised weights": [{ type: 2 }, "FILE", /quantised/],
	"no layers": [{ metadata: { "llama.block_count": undefined } }, "CONFIG", /num_hidden_layers/],
	"other RoPE scaling": [{ metadata: { "llama.rope.scaling.type": { text: "yarn" } } }, "CONFIG", /scaling/],
	experts: [{ metadata: { "llama.expert_count": { u32: 8 } } }, "CONFIG", /expert_count/],
	"partly rotated heads": [{ metadata: { "llama.rope.dimension_count": { u32: 8 } } }, "CONFIG", /dimension_count/],
};
for (const [name, [options, code, message]] of Object.entries(wrong)) {
	test(`refuses a GGUF file with ${name}`, async (t) => {
		const path = join(await temporaryFolder(t), "wrong.gguf");
		await writeFile(path, encodeGguf(tinyCheckpoint(), options));
		await assert.rejects(loadModel(path), { code: `ERR_OCTAVO_MODEL_${code}`, message });
	});
}
test("refuses what is no GGUF file", async (t) => {
	const path = join(await temporaryFolder(t), "none.gguf");
	await assert.rejects(loadModel(path), { code: "ERR_OCTAVO_MODEL_FILE" });
	for (const bytes of [Buffer.alloc(0), Buffer.from("GGUF"), Buffer.alloc(100, 65)]) {
		await writeFile(path, bytes);
		await assert.rejects(loadModel(path), { code: "ERR_OCTAVO_MODEL_FILE" });
	}
});
