// The native addon against its contract in native/addon.ts: what each call gives, without the SDK in between.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";
import type {
	AdvanceRequest,
	LlamaSpec,
	NativeColumns,
	NativeModel,
	NativeTrace,
	SessionSpec,
} from "../native/addon.js";
import { addonPath, loadAddon } from "../native/load.js";
import { type ColumnSchema, traceSchema, traceTableNames } from "../sdk/trace/schema.js";

const addon = loadAddon();
const greedy = { temperature: 0, topK: 0, topP: 1 };
const evictStop = { evict: true };

const llama: LlamaSpec = {
	numLayers: 3,
	hiddenSize: 32,
	intermediateSize: 48,
	numQueryHeads: 4,
	numKvHeads: 2,
	headDim: 8,
	vocabSize: 61,
	maxPositions: 4096,
	rmsNormEps: 1e-5,
	ropeTheta: 10000,
	tieWordEmbeddings: false,
};

const spec: SessionSpec = {
	blockSize: 4,
	numBlocks: 64,
	policy: { name: "paged-eviction", budget: 16 },
	seed: 3,
	recordBlocks: true,
};

const prompt = Int32Array.from({ length: 22 }, (_, index) => (index * 7) % 61);
const steps = (maxSteps: number, rest: Partial<AdvanceRequest> = {}): AdvanceRequest => ({
	maxSteps,
	sampling: greedy,
	...rest,
});

function newSession(changes: Partial<SessionSpec> = {}) {
	const session = addon.randomModel(llama, 1).createSession({ ...spec, ...changes });
	session.prefill(prompt);
	return session;
}

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

const code = (name: string) => ({ code: `ERR_OCTAVO_${name}` });

/** Columns without wall times, which differ from run to run. */
function untimed(trace: NativeTrace) {
	const drop = (columns: NativeColumns) =>
		Object.fromEntries(Object.entries(columns).filter(([name]) => !name.endsWith("_us")));
	return { ...trace, steps: drop(trace.steps) };
}

test("the engine describes itself, and its threads can be set", () => {
	const info = addon.engineInfo();
	assert.match(info.version, /^\d+\.\d+\.\d+$/);
	assert.ok(["avx512", "avx2", "portable"].includes(info.simd));
	assert.ok(["onednn", "plain"].includes(info.gemm));
	assert.equal(typeof info.cuda.compiled, "boolean");
	assert.ok(info.cuda.numDevices >= 0);
	addon.setNumThreads(1);
	assert.equal(addon.engineInfo().numThreads, 1);
	addon.setNumThreads(info.numThreads);
	assert.equal(addon.engineInfo().numThreads, info.numThreads);
	assert.throws(() => addon.setNumThreads(0), code("ARGUMENT"));
});

test("columns of the trace have the schema's names, order and types", () => {
	const session = newSession({ recordLogits: true });
	session.advance(steps(20));
	const trace = session.takeTrace();
	assert.deepEqual(Object.keys(trace), traceTableNames);
	const arrays = {
		i32: Int32Array,
		f32: Float32Array,
		f64: Float64Array,
		bool: Uint8Array,
		text: Uint8Array,
		"i32[]": Int32Array,
		"f32[]": Float32Array,
	};
	for (const table of traceTableNames) {
		const columns = trace[table];
		assert.deepEqual(Object.keys(columns), Object.keys(traceSchema[table]));
		const lengths = new Set<number>();
		for (const [name, column] of Object.entries<ColumnSchema>(traceSchema[table])) {
			const data = columns[name]!;
			const values = "offsets" in data ? data.values : data;
			assert.equal(values.constructor, arrays[column.type], `${table}.${name}`);
			assert.equal("offsets" in data, column.type.endsWith("[]"), `${table}.${name}`);
			if ("offsets" in data) assert.equal(data.offsets.at(-1), data.values.length);
			lengths.add("offsets" in data ? data.offsets.length - 1 : data.length);
		}
		assert.equal(lengths.size, 1, `columns of ${table} differ in length`);
		assert.ok([...lengths][0]! > 0, `${table} is empty`);
	}
	assert.equal((trace.steps.step_index as Int32Array).length, 20);
	const again = session.takeTrace();
	assert.equal((again.steps.step_index as Int32Array).length, 0);
	assert.deepEqual(Object.keys(again.evictions), Object.keys(traceSchema.evictions));
});

test("blocks are recorded only when asked for", () => {
	const session = newSession({ recordBlocks: false });
	session.advance(steps(3));
	const trace = session.takeTrace();
	assert.equal((trace.blocks.step_index as Int32Array).length, 0);
	assert.equal((trace.memory.step_index as Int32Array).length, 3 * llama.numLayers);
});

test("synchronous, asynchronous and stopped runs give one trace", async () => {
	const free = newSession();
	assert.deepEqual(free.advance(steps(60)), { reason: "steps", numSteps: 60 });
	const expected = untimed(free.takeTrace());

	const asynchronous = newSession();
	assert.deepEqual(await asynchronous.advanceAsync(steps(60)), { reason: "steps", numSteps: 60 });
	assert.deepEqual(untimed(asynchronous.takeTrace()), expected);
	assert.deepEqual(asynchronous.tokens(), free.tokens());

	const stopped = newSession();
	let left = 60;
	let numStops = 0;
	while (left > 0) {
		const result = stopped.advance(steps(left, { stop: { evict: true, blockFull: true } }));
		left -= result.numSteps;
		if (result.reason === "event") numStops++;
		assert.equal(stopped.insideStep, result.reason === "event");
	}
	assert.ok(numStops > 30);
	assert.deepEqual(untimed(stopped.takeTrace()), expected);
});

test("an eviction is announced before it happens, with all that is known of it", () => {
	const session = newSession();
	const first = session.advance(steps(1, { stop: { evict: true, layer: 1 } }));
	assert.ok(first.reason === "event" && first.event.kind === "evict");
	const { event: tokens } = first;
	assert.deepEqual([tokens.layer, tokens.phase, tokens.granularity], [1, "prefill", "token"]);
	assert.ok(!("blockId" in tokens) && !("logicalIndex" in tokens));
	assert.equal(tokens.positions.length, prompt.length - 16);
	assert.deepEqual(
		tokens.candidates,
		Int32Array.from({ length: 16 }, (_, index) => index + 4),
	);
	session.advance(steps(1));

	const second = session.advance(steps(10, { stop: evictStop }));
	assert.ok(second.reason === "event" && second.event.kind === "evict");
	const { event } = second;
	assert.equal(event.granularity, "block");
	assert.equal(event.candidates.length, event.candidateScores.length);
	const before = session.layerState(event.layer);
	assert.equal(before.kvLen, 20);
	assert.equal(before.blockIds[event.logicalIndex!], event.blockId);
	assert.equal(before.scores[event.logicalIndex!], event.score);
	assert.equal(event.score, Math.min(...event.candidateScores));
	const { positions } = session.layerCache(event.layer);
	const slots = new Int32Array(positions.buffer, event.blockId! * spec.blockSize * 4, spec.blockSize);
	assert.deepEqual(event.positions, Int32Array.from(slots));

	session.advance(steps(1));
	const after = session.layerState(event.layer);
	assert.equal(after.kvLen, 16);
	assert.ok(!after.blockIds.includes(event.blockId!));
	assert.equal(after.numFreeBlocks, before.numFreeBlocks + 1);
});

test("views lie over native memory: they show later steps, and outlive the session", async () => {
	const session = newSession({ policy: { name: "full" } });
	session.advance(steps(1));
	const cache = session.layerCache(0);
	assert.equal(session.layerCache(0).keys.buffer, cache.keys.buffer);
	assert.deepEqual(cache.keys.shape, [spec.numBlocks, llama.numKvHeads, spec.blockSize, llama.headDim]);
	assert.deepEqual(cache.positions.shape, [spec.numBlocks, spec.blockSize]);
	const positions = new Int32Array(cache.positions.buffer);
	const keys = new Float32Array(cache.keys.buffer);
	const logits = new Float32Array(session.logits().buffer);
	assert.equal(logits.length, llama.vocabSize);
	assert.deepEqual(Array.from(positions.slice(0, 24)), [...prompt.keys(), -1, -1]);
	const old = logits.slice();
	session.advance(steps(1));
	assert.equal(positions[22], 22);
	assert.ok(old.some((value, token) => value !== logits[token]));
	// Written through, the value reaches the engine, as attention shows.
	const honest = newSession({ policy: { name: "full" } });
	honest.advance(steps(2));
	keys.fill(3);
	session.advance(steps(1, { forcedTokens: Int32Array.of(5) }));
	honest.advance(steps(1, { forcedTokens: Int32Array.of(5) }));
	const unmoved = new Float32Array(honest.logits().buffer);
	assert.ok(unmoved.some((value, token) => value !== logits[token]));

	session.dispose();
	collect();
	await sleep(1);
	assert.equal(positions[22], 22);
	assert.equal(keys[1], 3);
});

test("sessions that nothing refers to give their memory back, without a dispose", async () => {
	const model = addon.randomModel(llama, 1);
	const touch = () => {
		const session = model.createSession({ ...spec, numBlocks: 16384 });
		for (let layer = 0; layer < llama.numLayers; layer++) {
			new Float32Array(session.layerCache(layer).keys.buffer).fill(1);
		}
		session.prefill(prompt);
		session.advance(steps(5));
		return session.takeTrace();
	};
	touch();
	const before = process.memoryUsage.rss();
	for (let round = 0; round < 60; round++) {
		touch();
		if (round % 10 === 9) {
			collect();
			await sleep(1);
		}
	}
	const growth = (process.memoryUsage.rss() - before) / 2 ** 20;
	assert.ok(growth < 300, `grew by ${growth} MiB, of 720 touched`);
});

test("weights are named, shaped and seeded", () => {
	const model = addon.randomModel(llama, 9);
	const names = model.weightNames();
	assert.ok(names.includes("model.layers.2.mlp.down_proj.weight") && names.includes("lm_head.weight"));
	const elements = names.map((name) => model.weight(name).shape.reduce((product, size) => product * size, 1));
	assert.equal(
		elements.reduce((sum, count) => sum + count, 0),
		model.numParameters,
	);
	assert.equal(model.sizeBytes, 4 * model.numParameters);
	const bytes = (seed: number) =>
		Buffer.from(addon.randomModel(llama, seed).weight("model.layers.0.self_attn.q_proj.weight").buffer);
	assert.deepEqual(bytes(9), bytes(9));
	assert.notDeepEqual(bytes(9), bytes(10));
});

test("a model opened from a file computes with its bytes, and writing to a view of them leaves the file alone", () => {
	const made = addon.randomModel(llama, 4);
	const folder = mkdtempSync(join(tmpdir(), "octavo-addon-"));
	try {
		const path = join(folder, "weights.bin");
		let offsetBytes = 0;
		const parts: Buffer[] = [];
		const sources = made.weightNames().map((name) => {
			const { buffer, shape } = made.weight(name);
			const source = { name, dtype: "F32" as const, shape, path, offsetBytes, sizeBytes: buffer.byteLength };
			parts.push(Buffer.from(buffer));
			offsetBytes += buffer.byteLength;
			return source;
		});
		writeFileSync(path, Buffer.concat(parts));
		const logitsOf = (model: NativeModel) => {
			const session = model.createSession(spec);
			session.prefill(prompt);
			session.advance(steps(3));
			return new Float32Array(session.logits().buffer).slice();
		};
		const expected = logitsOf(made);
		const opened = addon.openModel(llama, sources);
		assert.deepEqual(logitsOf(opened), expected);
		const norm = new Float32Array(opened.weight("model.norm.weight").buffer);
		norm.fill(2);
		assert.ok(logitsOf(opened).some((logit, token) => logit !== expected[token]));
		assert.deepEqual(readFileSync(path), Buffer.concat(parts));
		assert.deepEqual(logitsOf(addon.openModel(llama, sources)), expected);
		assert.throws(() => addon.openModel(llama, sources.slice(1)), code("MODEL_WEIGHTS"));
		const beyond = sources.map((source) => ({ ...source, offsetBytes: source.offsetBytes + 4 }));
		assert.throws(() => addon.openModel(llama, beyond), code("MODEL_FILE"));
	} finally {
		rmSync(folder, { recursive: true });
	}
});

test("forced tokens, end tokens and numTokens", () => {
	const session = newSession();
	const request = steps(4, { forcedTokens: Int32Array.of(50, 51), endTokens: Int32Array.of(50, 51) });
	assert.deepEqual(session.advance(request), { reason: "steps", numSteps: 4 });
	assert.deepEqual([...session.tokens().subarray(0, 24)], [...prompt, 50, 51]);
	assert.equal(session.numTokens, 25);
	const twin = newSession();
	twin.advance(request);
	twin.advance(steps(1));
	const next = twin.tokens().at(-1)!;
	const result = session.advance(steps(100, { endTokens: Int32Array.of(next) }));
	assert.deepEqual(result, { reason: "end-token", numSteps: 1, token: next });
});

test("while an asynchronous advance runs the session is busy; it can be cancelled and goes on", async () => {
	const session = newSession({ policy: { name: "full" }, numBlocks: 1024 });
	const running = session.advanceAsync(steps(4000));
	for (const call of [
		() => session.advance(steps(1)),
		() => session.advanceAsync(steps(1)),
		() => session.tokens(),
		() => session.logits(),
		() => session.layerState(0),
		() => session.layerCache(0),
		() => session.takeTrace(),
		() => session.insideStep,
		() => session.prefill(prompt),
	]) {
		assert.throws(call, code("BUSY"));
	}
	assert.ok(session.numTokens >= 0);
	await sleep(10);
	session.cancel();
	const { reason, numSteps } = await running;
	assert.equal(reason, "cancelled");
	assert.ok(numSteps < 4000);
	assert.equal(session.advance(steps(3)).numSteps, 3);
	const free = newSession({ policy: { name: "full" }, numBlocks: 1024 });
	free.advance(steps(numSteps + 3));
	assert.deepEqual(untimed(session.takeTrace()), untimed(free.takeTrace()));
});

test("a failure of an asynchronous advance rejects with its code, and the session goes on", async () => {
	const session = newSession({ policy: { name: "full" }, numBlocks: 6 });
	await assert.rejects(session.advanceAsync(steps(10)), code("POOL_EXHAUSTED"));
	assert.equal(session.numTokens, 24);
	await assert.rejects(session.advanceAsync(steps(1)), code("POOL_EXHAUSTED"));
});

test("after dispose every call throws, also when an advance was under way", async () => {
	const session = newSession({ policy: { name: "full" }, numBlocks: 1024 });
	const running = session.advanceAsync(steps(4000));
	session.dispose();
	for (const call of [() => session.numTokens, () => session.tokens(), () => session.cancel()]) {
		assert.throws(call, code("CLOSED"));
	}
	assert.equal((await running).reason, "cancelled");
	assert.throws(() => session.advance(steps(1)), code("CLOSED"));
	session.dispose();

	const model = addon.randomModel(llama, 1);
	const alive = model.createSession(spec);
	model.dispose();
	model.dispose();
	assert.throws(() => model.weightNames(), code("CLOSED"));
	assert.throws(() => model.createSession(spec), code("CLOSED"));
	assert.throws(() => model.numParameters, code("CLOSED"));
	alive.prefill(prompt);
	assert.equal(alive.advance(steps(2)).numSteps, 2);
});

test("several worker threads use the addon at once, and one can end in the middle of a step", async () => {
	const body = `
		const { parentPort, workerData } = require("node:worker_threads");
		const addon = require(workerData.addonPath);
		const session = addon.randomModel(workerData.llama, 1).createSession(workerData.spec);
		session.prefill(workerData.prompt);
		session.advanceAsync(workerData.request).then(() => parentPort.postMessage(session.tokens()));
	`;
	const start = (request: AdvanceRequest) =>
		new Worker(body, { eval: true, workerData: { addonPath, llama, spec, prompt, request } });
	const here = newSession();
	const workers = [1, 2, 3].map(() => start(steps(200)));
	const tokens = workers.map((worker) => new Promise((resolve) => worker.once("message", resolve)));
	await here.advanceAsync(steps(200));
	for (const found of await Promise.all(tokens)) assert.deepEqual(found, here.tokens());
	await Promise.all(workers.map((worker) => worker.terminate()));
	const doomed = start(steps(2000));
	await new Promise((resolve) => doomed.once("online", resolve));
	await sleep(30);
	await doomed.terminate();
	assert.equal(here.advance(steps(1)).numSteps, 1);
});
