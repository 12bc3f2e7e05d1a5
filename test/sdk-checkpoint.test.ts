// Checkpoints in Hugging Face layout, in every dtype, sharded, tied, with scaled RoPE: their logits against a float64
// forward pass that knows nothing of the engine. And saving: what is written is what was read.

import assert from "node:assert/strict";
import { open, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { loadModel, type Model, randomModel } from "../sdk/load-model.js";
import { llamaLogits64 } from "./helpers/llama-float64.js";
import { relativeError } from "./helpers/relative-error.js";
import { temporaryFolder } from "./helpers/temporary-folder.js";
import { type TinyOptions, tinyCheckpoint, uniform, writeTiny } from "./helpers/tiny-checkpoint.js";

const random = uniform(77);
const tokens = Array.from({ length: 150 }, () => Math.floor(random() * 300));

/** Worst relative L2 error over a prefill of most tokens and single steps for the rest. */
function worstError(model: Model, expected: readonly number[][]): number {
	using session = model.session({ blockSize: 16 });
	session.prefillSync(tokens.slice(0, 140));
	let worst = relativeError(session.logits.data, expected[139]!);
	for (let i = 140; i < tokens.length; i++) {
		session.feedSync([tokens[i]!]);
		worst = Math.max(worst, relativeError(session.logits.data, expected[i]!));
	}
	return worst;
}

const kinds: TinyOptions[] = [
	...(["F32", "F16", "BF16"] as const).flatMap((dtype) => [
		{ dtype },
		{ dtype, numShards: 3, tied: true, scaled: true, seed: 5 },
	]),
	{ numShards: 3 },
	{ tied: true },
	{ scaled: true },
];
for (const kind of kinds) {
	test(`logits of a checkpoint: ${JSON.stringify(kind)}`, async (t) => {
		const checkpoint = tinyCheckpoint(kind);
		using model = await loadModel(await writeTiny(await temporaryFolder(t), checkpoint));
		const worst = worstError(model, llamaLogits64(checkpoint.config, checkpoint.weights, tokens));
		t.diagnostic(`worst relative L2 error ${worst.toExponential(2)}`);
		// float32 throughout, with widened weights; long products with bf16 weights may round their other factor too.
		assert.ok(worst < (kind.dtype === "BF16" ? 1e-2 : 1e-5), `worst relative L2 error ${worst}`);
	});
}

test("scaled RoPE and tied embeddings change logits", async (t) => {
	const plain = tinyCheckpoint();
	const expected = llamaLogits64(plain.config, plain.weights, tokens);
	const wrong = { scaled: tinyCheckpoint({ scaled: true }), tied: tinyCheckpoint({ tied: true }) };
	for (const [name, checkpoint] of Object.entries(wrong)) {
		using model = await loadModel(await writeTiny(join(await temporaryFolder(t), name), checkpoint));
		assert.ok(worstError(model, expected) > 1e-3, name);
	}
});

test("weights are used in place: a change in the file shows in the model", async (t) => {
	if (process.platform !== "linux") return t.skip("whether a private mapping shows changes is up to the system");
	const folder = await temporaryFolder(t);
	using first = await loadModel(await writeTiny(folder, tinyCheckpoint({ dtype: "BF16" })));
	// As saved, weights are aligned; elsewhere they may have to be copied.
	await first.save(join(folder, "aligned"));
	using model = await loadModel(join(folder, "aligned"));
	const embedding = () => (model.weight("model.embed_tokens.weight").data as Uint16Array)[0]!;
	const file = await open(join(folder, "aligned", "model.safetensors"), "r+");
	try {
		const header = Buffer.alloc(8);
		await file.read(header, 0, 8, 0);
		const changed = Buffer.from(Uint16Array.of(embedding() ^ 0x80).buffer);
		await file.write(changed, 0, 2, 8 + Number(header.readBigUInt64LE()));
		assert.equal(embedding(), changed.readUInt16LE());
	} finally {
		await file.close();
	}
});

/** Raw bytes of every weight. */
function weightBytes(model: Model): Map<string, string> {
	return new Map(
		model.weightNames.map((name) => {
			const { data } = model.weight(name);
			return [name, Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64")];
		}),
	);
}

for (const kind of [{}, { dtype: "F16" }, { dtype: "BF16", tied: true, scaled: true, numShards: 2 }] as TinyOptions[]) {
	for (const shardSizeBytes of [undefined, 9000, 1]) {
		const how = `${JSON.stringify(kind)} in files of ${shardSizeBytes ?? "any"} bytes`;
		test(`a saved checkpoint is the same bit by bit: ${how}`, async (t) => {
			const folder = await temporaryFolder(t);
			const generation = { eos_token_id: [1, 2], do_sample: true, temperature: 0.6, top_p: 0.9 };
			const others = { "generation_config.json": generation, "vocabulary.json": ["a", "b"] };
			using model = await loadModel(await writeTiny(join(folder, "from"), tinyCheckpoint(kind), others));
			const saved = await model.save(join(folder, "to"), shardSizeBytes === undefined ? {} : { shardSizeBytes });
			using copy = await loadModel(saved);
			assert.deepEqual(copy.config, model.config);
			assert.deepEqual(weightBytes(copy), weightBytes(model));
			assert.deepEqual(Array.from(copy.tokenizer!.encode("b a")), [1, 0]);
			const files = (await readdir(saved)).filter((name) => name.endsWith(".safetensors"));
			const numWeights = model.weightNames.length;
			if (shardSizeBytes === undefined) assert.deepEqual(files, ["model.safetensors"]);
			else if (shardSizeBytes === 1) assert.equal(files.length, numWeights);
			else assert.ok(files.length > 2 && files.length < numWeights, `${files.length} files`);
			for (const file of files) {
				const bytes = await readFile(join(saved, file));
				const dataStart = 8 + Number(bytes.readBigUInt64LE());
				assert.equal(dataStart % 8, 0, "weights can be used in place");
				const oneWeight = shardSizeBytes === 1;
				if (shardSizeBytes && !oneWeight) {
					const names = Object.keys(JSON.parse(bytes.toString("utf8", 8, dataStart))).length - 1;
					assert.ok(bytes.length - dataStart <= shardSizeBytes || names === 1, `${file} of ${bytes.length} bytes`);
				}
			}
		});
	}
}

test("a model is saved over its own folder while it is in use, in one file and in more", async (t) => {
	const checkpoint = tinyCheckpoint();
	const folder = await writeTiny(await temporaryFolder(t), checkpoint);
	const expected = llamaLogits64(checkpoint.config, checkpoint.weights, tokens);
	using model = await loadModel(folder);
	for (const shardSizeBytes of [1e9, 5000, 1e9]) {
		await model.save(folder, { shardSizeBytes });
		assert.ok(worstError(model, expected) < 1e-5, "the open model goes on");
		using again = await loadModel(folder);
		assert.ok(worstError(again, expected) < 1e-5, "what was written is the model");
	}
	assert.ok(!(await readdir(folder)).some((name) => name.includes("incomplete")));
});

test("a random model can be saved, and a change of weights in memory with it", async (t) => {
	const { config } = await loadModel();
	using model = randomModel({ ...config, numLayers: 1 }, 3);
	(model.weight("model.norm.weight").data as Float32Array)[5] = 42;
	using copy = await loadModel(await model.save(await temporaryFolder(t)));
	assert.equal((copy.weight("model.norm.weight").data as Float32Array)[5], 42);
	assert.deepEqual(weightBytes(copy), weightBytes(model));
});

test("saving where nothing can be written fails with the folder's name, and wrong options are named", async (t) => {
	const folder = await temporaryFolder(t);
	using model = await loadModel(await writeTiny(folder, tinyCheckpoint()));
	const inFile = join(folder, "config.json", "x");
	await assert.rejects(model.save(inFile), { code: "ERR_OCTAVO_MODEL_FILE", message: /config\.json/ });
	await assert.rejects(model.save(folder, { shardSize: 3 } as object), { code: "ERR_OCTAVO_OPTION" });
	assert.ok((await stat(folder)).isDirectory());
	// A folder that takes no entries though it is there, and says so by an error that means "make what is above first".
	const refused = { code: "ERR_OCTAVO_MODEL_FILE", message: /\/proc\/octavo/ };
	for (const path of ["/proc/octavo", "/proc/octavo/a/b"]) await assert.rejects(model.save(path), refused);
	const deep = join(folder, "a", "b", "c");
	assert.equal(await model.save(deep), deep);
});

test("sessions take sampling and end tokens of generation_config.json where the caller gives none", async (t) => {
	const folder = await temporaryFolder(t);
	const sampled = { "generation_config.json": { do_sample: true, temperature: 1.5, top_k: 0 } };
	using model = await loadModel(await writeTiny(folder, tinyCheckpoint(), sampled));
	assert.deepEqual(model.config.sampling, { temperature: 1.5, topK: 0, topP: 1 });
	const run = (options: object) => {
		using session = model.session({ seed: 11 });
		session.prefillSync([3, 4, 5]);
		session.runSync({ maxTokens: 30, endTokens: [], ...options });
		return Array.from(session.tokens);
	};
	assert.deepEqual(run({}), run({ sampling: { temperature: 1.5 } }));
	assert.notDeepEqual(run({}), run({ sampling: {} }), "an empty sampling is greedy");

	const greedy = run({ sampling: {} });
	const ended = { "generation_config.json": { eos_token_id: greedy[3 + 6] } };
	using other = await loadModel(await writeTiny(folder, tinyCheckpoint(), ended));
	using session = other.session();
	session.prefillSync([3, 4, 5]);
	const stop = session.runSync({ maxTokens: 30 });
	assert.equal(stop.reason, "end-token");
	assert.equal(session.tokens.at(-1), greedy[3 + 6]);
	await assert.rejects(
		loadModel(await writeTiny(folder, tinyCheckpoint(), { "generation_config.json": { do_sample: true, top_p: 2 } })),
		{ code: "ERR_OCTAVO_MODEL_CONFIG", message: /top_p/ },
	);
});
