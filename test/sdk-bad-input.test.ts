// Bad input ends in an error with a code, and loses nothing else: the model and the session go on.

import assert from "node:assert/strict";
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, test } from "node:test";
import { full, pagedEviction } from "../sdk/decode/policies/index.js";
import { loadModel, type Model } from "../sdk/load-model.js";
import { presetFolder } from "../sdk/model/checkpoint.js";
import { SeededRandom } from "../sdk/model/tasks/random.js";
import { encodeSafetensors, type PlainTensor, tinyConfig, tinyWeights, writeFolder } from "./helpers/checkpoint.js";
import { temporaryFolder } from "./helpers/temporary-folder.js";

let model: Model;
before(async () => {
	model = await loadModel();
});

function tinyFolder(folder: string, weights: Record<string, PlainTensor>, change: object = {}): Promise<string> {
	const files = { "config.json": { ...tinyConfig, ...change }, "model.safetensors": encodeSafetensors(weights) };
	return writeFolder(folder, files);
}

test("the small folder of these tests is a right one", async (t) => {
	const tiny = await loadModel(await tinyFolder(await temporaryFolder(t), tinyWeights()));
	const session = tiny.session({ blockSize: 4 });
	await session.prefill([1, 2, 3]);
	assert.ok(session.logits.data.every(Number.isFinite));
	assert.equal((await session.run({ maxTokens: 5 })).reason, "max-tokens");
	await assert.rejects(tiny.session().prefill("BOS"), { code: "ERR_OCTAVO_TOKENIZER", message: /vocabulary\.json/ });
});

test("a configuration that does not fit the weights is refused", async (t) => {
	const folder = await temporaryFolder(t);
	const wrong: [string, object, RegExp][] = [
		["wider", { hidden_size: 16, head_dim: 8 }, /embed_tokens|shape/],
		["more layers", { num_hidden_layers: 3 }, /layers\.2/],
		["another vocabulary", { vocab_size: 21 }, /embed_tokens/],
		["an untied head", { tie_word_embeddings: false }, /lm_head/],
		["more KV heads", { num_key_value_heads: 2 }, /k_proj/],
	];
	for (const [name, change, message] of wrong) {
		const path = await tinyFolder(join(folder, name), tinyWeights(), change);
		await assert.rejects(loadModel(path), { code: /^ERR_OCTAVO_MODEL_(WEIGHTS|CONFIG)$/, message }, name);
	}
	const { "model.norm.weight": _, ...lacking } = tinyWeights();
	const path = await tinyFolder(join(folder, "lacking"), lacking);
	await assert.rejects(loadModel(path), { code: "ERR_OCTAVO_MODEL_WEIGHTS", message: /model\.norm\.weight/ });
});

test("a truncated default model is refused, naming file and byte", async (t) => {
	const folder = await temporaryFolder(t);
	await copyFile(join(presetFolder("recall-tiny"), "config.json"), join(folder, "config.json"));
	const bytes = await readFile(join(presetFolder("recall-tiny"), "model.safetensors"));
	const path = join(folder, "model.safetensors");
	for (const size of [0, 7, 8, 500, bytes.length / 2, bytes.length - 1]) {
		await writeFile(path, bytes.subarray(0, size));
		await assert.rejects(loadModel(folder), {
			name: "OctavoError",
			code: "ERR_OCTAVO_MODEL_FILE",
			message: /byte \d+/,
		});
	}
});

test("mutated files load or are refused, and never more", async (t) => {
	const folder = await tinyFolder(await temporaryFolder(t), tinyWeights());
	const path = join(folder, "model.safetensors");
	const original = await readFile(path);
	const random = new SeededRandom(1);
	const outcomes = { loaded: 0, refused: 0 };
	for (let round = 0; round < 300; round++) {
		const bytes = Buffer.from(original.subarray(0, round % 5 ? original.length : random.integer(0, original.length)));
		const end = Math.min(bytes.length, round % 2 ? 1500 : original.length);
		for (let i = 0; i < 3 && end > 0; i++) bytes[random.integer(0, end)] = random.integer(0, 256);
		await writeFile(path, bytes);
		try {
			const mutant = await loadModel(folder);
			const session = mutant.session({ blockSize: 4 });
			session.prefillSync([1, 2, 3, 4, 5]);
			session.close();
			mutant.close();
			outcomes.loaded++;
		} catch (error) {
			// A changed weight may be NaN or infinite: that shows in the prefill.
			assert.match(
				(error as { code: string }).code,
				/^ERR_OCTAVO_(MODEL_FILE|MODEL_WEIGHTS|NAN)$/,
				`round ${round}: ${error}`,
			);
			outcomes.refused++;
		}
	}
	assert.ok(outcomes.loaded > 20 && outcomes.refused > 100, JSON.stringify(outcomes));
});

test("a NaN in a key is an error that names layer and position, and leaves the session as it was", async (t) => {
	const folder = await temporaryFolder(t);
	const everywhere = tinyWeights();
	everywhere["model.layers.1.self_attn.k_proj.weight"]!.data[3] = Number.NaN;
	const all = await loadModel(await tinyFolder(join(folder, "all"), everywhere));
	await assert.rejects(all.session({ blockSize: 4 }).prefill([1, 2]), { code: "ERR_OCTAVO_NAN", message: /layer 1/ });

	// Only token 7 has a NaN, which its own key is the first to show; the head is another matrix, and sound.
	const once = tinyWeights();
	const head = tinyWeights()["model.embed_tokens.weight"]!;
	once["model.embed_tokens.weight"]!.data[7 * 8] = Number.NaN;
	const weights = { ...once, "lm_head.weight": head };
	const one = await loadModel(await tinyFolder(join(folder, "one"), weights, { tie_word_embeddings: false }));
	const session = one.session({ blockSize: 4 });
	await session.prefill([1, 2, 3]);
	await session.feed([4, 5]);
	const [before, table] = [session.logits.copy(), session.layer(0).blockTable.toString()];
	await assert.rejects(session.feed([7]), { code: "ERR_OCTAVO_NAN", message: /layer 0.*position 5/ });
	assert.equal(session.numTokens, 5);
	assert.deepEqual(session.logits.data, before.data);
	assert.equal(session.layer(0).blockTable.toString(), table);
	assert.equal(session.trace.table("steps").numRows, 3);
	await session.feed([6]);
	assert.equal(session.numTokens, 6);
});

test("an exhausted pool is an error before anything changes", async () => {
	const session = model.session({ blockSize: 8, numBlocks: 3, policy: full() });
	await session.prefill(Array.from({ length: 20 }, (_, i) => 150 + i));
	const result = await session.run({ maxTokens: 4 });
	assert.equal(result.numSteps, 4);
	const logits = session.logits.copy();
	for (let i = 0; i < 2; i++) {
		await assert.rejects(session.step(), { code: "ERR_OCTAVO_POOL_EXHAUSTED", message: /layer 0.*numBlocks/ });
	}
	assert.equal(session.numTokens, 24);
	assert.deepEqual(session.logits.data, logits.data);
	assert.equal(session.trace.table("steps").numRows, 5);
	const small = model.session({ blockSize: 8, numBlocks: 2, policy: full() });
	await assert.rejects(small.prefill(Array.from({ length: 17 }, () => 150)), { code: "ERR_OCTAVO_POOL_EXHAUSTED" });
	await small.prefill([1, 150]);
	assert.equal(small.numTokens, 2);
});

test("prompts and tokens are checked", async () => {
	const session = model.session();
	const code = "ERR_OCTAVO_TOKEN";
	await assert.rejects(session.step(), { code: "ERR_OCTAVO_PREFILL" });
	assert.throws(() => session.runSync(), { code: "ERR_OCTAVO_PREFILL" });
	assert.throws(() => session.logits, { code: "ERR_OCTAVO_PREFILL" });
	for (const prompt of [[], [256], [-1], [1.5], [Number.NaN], ["1"], new Int32Array([300]), null, 5, { length: 3 }]) {
		await assert.rejects(session.prefill(prompt as number[]), { code }, JSON.stringify(prompt));
	}
	await assert.rejects(session.prefill({ context: [1] } as never), { code, message: /did you mean its context\?$/ });
	await assert.rejects(session.prefill("BOS QRZ"), { code: "ERR_OCTAVO_TOKENIZER", message: /did you mean QRY/ });
	await assert.rejects(session.prefill(new Array(1025).fill(150)), { code: "ERR_OCTAVO_POSITION", message: /1024/ });
	await session.prefill("BOS f150 f151");
	await assert.rejects(session.prefill([1]), { code: "ERR_OCTAVO_PREFILL" });
	await assert.rejects(session.feed([150, 999]), { code });
	assert.equal(session.numTokens, 3);
	assert.deepEqual(await session.feed([]), []);
});

test("the last position can be used, the next cannot", async () => {
	const session = model.session({ recordBlocks: false });
	await session.prefill(new Array(1020).fill(150));
	await assert.rejects(session.run({ maxTokens: 10 }), { code: "ERR_OCTAVO_POSITION" });
	assert.equal(session.numTokens, 1024);
	assert.equal(session.trace.table("steps").numRows, 5);
});

test("options, layers, blocks and weights are checked", async () => {
	const session = model.session({ blockSize: 8, policy: pagedEviction({ budget: 32 }) });
	await session.prefill([1, 150, 151]);
	assert.throws(() => model.session({ policy: pagedEviction({ budget: 100 }) }), { code: "ERR_OCTAVO_BUDGET" });
	assert.throws(() => model.session({ blocksize: 8 } as never), {
		code: "ERR_OCTAVO_OPTION",
		message: /did you mean blockSize/,
	});
	await assert.rejects(session.run({ maxToken: 3 } as never), {
		code: "ERR_OCTAVO_OPTION",
		message: /did you mean maxTokens/,
	});
	await assert.rejects(session.step({ sampling: { temprature: 1 } } as never), { message: /did you mean temperature/ });
	assert.throws(() => session.runSync({ maxTokens: -1 }), { code: "ERR_OCTAVO_OPTION" });
	await assert.rejects(session.run({ signal: {} as AbortSignal }), { code: "ERR_OCTAVO_OPTION" });
	for (const index of [-1, 4, 0.5, Number.NaN]) assert.throws(() => session.layer(index), { code: "ERR_OCTAVO_LAYER" });
	for (const index of [-1, 1, 0.5]) assert.throws(() => session.layer(0).block(index), { code: "ERR_OCTAVO_BLOCK" });
	assert.throws(() => model.weight("none"), { code: /^ERR_OCTAVO_/, message: /none/ });
	await assert.rejects(loadModel(""), { code: "ERR_OCTAVO_MODEL_FILE" });
	assert.equal((await session.run({ maxTokens: 3 })).numSteps, 3);
});

test("a closed model makes no more sessions; those it made go on", async () => {
	const closing = await loadModel();
	const session = closing.session();
	closing.close();
	assert.throws(() => closing.session(), { code: "ERR_OCTAVO_CLOSED" });
	await session.prefill([1, 150]);
	assert.equal((await session.run({ maxTokens: 3 })).numSteps, 3);
});
