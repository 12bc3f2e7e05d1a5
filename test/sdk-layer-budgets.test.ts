// A budget for each layer, through the SDK: values and their checks, functions that score, traces, charts, forks, batches, and
// the pyramid. What native policies keep is checked by the engine's own tests.

import assert from "node:assert/strict";
import { join } from "node:path";
import { before, test } from "node:test";
import { memory } from "../sdk/chart/memory.js";
import * as policies from "../sdk/decode/policies/index.js";
import type { SessionView } from "../sdk/decode/session-view.js";
import { accuracyByBudget } from "../sdk/figures/index.js";
import { loadModel, type Model } from "../sdk/load-model.js";
import { Trace } from "../sdk/trace/trace.js";
import { temporaryFolder } from "./helpers/temporary-folder.js";

const [blockSize, budget] = [8, [96, 40, 24, 64]];
const prompt = Array.from({ length: 90 }, (_, i) => (i * 97 + 13) % 256);
const run = { maxTokens: 60, endTokens: [] };
const refused = (message: RegExp) => ({ code: "ERR_OCTAVO_BUDGET", message });
const kvLens = (session: SessionView) => budget.map((_, layer) => session.layer(layer).kvLen);
const within = (lengths: number[], room: number) =>
	lengths.every((length, layer) => length >= budget[layer]! && length < budget[layer]! + room);
let model: Model;
before(async () => {
	model = await loadModel();
});

test("a budget by layer is a frozen copy, and wrong ones are refused with their place", () => {
	const own = [...budget];
	const policy = policies.keyDiff({ budget: own });
	own[0] = 7;
	assert.deepEqual(policy.budget, budget);
	assert.ok(Object.isFrozen(policy.budget));
	for (const [wrong, message] of [
		[[], /each layer but received an empty array/],
		[[32, Number.NaN], /budget\[1\] but received NaN/],
		[[32, -8], /budget\[1\] but received -8/],
		[[32, "32"], /budget\[1\] but received "32"/],
		["32", /for budget but received "32"/],
	] as const) {
		assert.throws(() => policies.keyDiff({ budget: wrong as never }), refused(message));
	}
	for (const make of [policies.pagedEviction, policies.snapKv, policies.random, policies.streamingLlm])
		assert.throws(() => make({ budget, scope: { shared: "layer-0" } }), refused(/one number for budget with scope/));
	const bad = (wrong: number[]) => ({ policy: policies.keyDiff({ budget: wrong }) });
	const session = model.session({ blockSize });
	const batch = model.batch({ blockSize });
	for (const open of [
		(options: object) => model.session({ blockSize, ...options }),
		(options: object) => model.batch({ blockSize, ...options }),
		(options: object) => batch.add(prompt, options),
		(options: object) => session.fork(options),
	]) {
		assert.throws(() => open(bad([32, 32, 32])), refused(/each of the 4 layers but received 3/));
		assert.throws(
			() => open(bad([32, 32, 36, 32])),
			refused(/multiple of blockSize \(8\) for budget\[2\] but received 36/),
		);
		assert.throws(
			() => open(bad([32, 16, 32, 32])),
			refused(/three blocks \(24 tokens\) for budget\[1\] but received 16/),
		);
		assert.throws(() => open({ policy: null }), { code: "ERR_OCTAVO_OPTION", message: /policy but received null/ });
	}
});

test("functions that score hold each layer to its own budget, and are asked for layers over theirs alone", () => {
	const asked = new Set<string>();
	const blocks = policies.custom({ budget, score: ({ logicalIndex }) => logicalIndex });
	const tokens = policies.custom({
		budget,
		granularity: "token",
		needs: ["positions"],
		score: ({ layer, positions }) => {
			asked.add(`${layer}: ${positions.length === prompt.length ? "prompt" : positions.length - budget[layer]!}`);
			return Float32Array.from(positions);
		},
	});
	for (const [policy, room] of [
		[blocks, blockSize],
		[tokens, 1],
	] as const) {
		using session = model.session({ blockSize, policy });
		session.prefillSync(prompt);
		session.runSync(run);
		assert.ok(within(kvLens(session), room), `${kvLens(session)}`);
	}
	// The prompt of 90 fits layer 0.
	assert.deepEqual([...asked].sort(), ["0: 1", "1: 1", "1: prompt", "2: 1", "2: prompt", "3: 1", "3: prompt"]);
});

test("default pools have room for the widest layer, with a history and with holes", () => {
	for (const options of [{}, { granularity: "token" }, { granularity: "token", holes: "mask" }] as const) {
		using session = model.session({ blockSize, policy: policies.tova({ budget, ...options }), history: 20 });
		session.prefillSync(prompt);
		session.runSync({ ...run, maxTokens: 200 });
		session.rewind({ tokens: session.numTokens - 20 });
		session.runSync(run);
		assert.ok(within(kvLens(session), blockSize));
	}
});

test("trace, chart and a batch's table say each layer's budget; a saved trace does too", async (context) => {
	using session = model.session({ blockSize, policy: policies.pagedEviction({ budget }) });
	session.prefillSync(prompt);
	session.runSync(run);
	const file = join(await temporaryFolder(context), "run.arrow");
	await session.trace.save(file);
	for (const trace of [session.trace, await Trace.load(file), session.fork().trace]) {
		assert.deepEqual(trace.metadata.policyOptions?.budget, budget);
	}
	const line = (options: object) =>
		memory(session.trace, options).data.find(({ name }) => String(name).startsWith("budget"))!;
	assert.deepEqual([line({}).name, new Set(line({}).y as number[])], ["budget (56)", new Set([56])]);
	assert.equal(line({ layer: 2 }).name, "budget (24)");

	const batch = model.batch({ blockSize, policy: policies.pagedEviction({ budget }) });
	const sequence = batch.add(prompt, run);
	batch.add(prompt, { ...run, policy: policies.pagedEviction({ budget: 24 }) });
	await batch.run();
	const rows = batch.requests.toArray().map(({ budget, layer_budgets }) => [budget, layer_budgets]);
	assert.deepEqual(rows, [
		[null, "96 40 24 64"],
		[24, null],
	]);
	const live = (trace: Trace) => Array.from(trace.table("memory").getChild("live_tokens")!.toArray() as Int32Array);
	assert.deepEqual(live(sequence.trace), live(session.trace));
});

test("a pyramid falls evenly from layer to layer in whole blocks, and adds up to its mean", () => {
	const pyramid = (options: object) => policies.pyramidBudget({ numLayers: 5, blockSize: 16, mean: 160, ...options });
	// rest = 160: last 160 / 20 = 8, first 320 - 8 = 312; the line in blocks is 19.5, 14.75, 10, 5.25, 0.5, of which the last gets 3.
	assert.deepEqual(pyramid({}), [272, 240, 160, 80, 48]);
	// rest = 96: last 64 + 96 / 4 = 88, first 64 + 192 - 24 = 232; in blocks 14.5, 12.25, 10, 7.75, 5.5.
	assert.deepEqual(pyramid({ window: 64, beta: 4 }), [224, 192, 160, 128, 96]);
	assert.deepEqual(pyramid({ beta: 1 }), [160, 160, 160, 160, 160]);
	for (let numLayers = 1; numLayers < 90; numLayers++) {
		const budgets = pyramid({ numLayers, beta: 1 + (numLayers % 23), mean: 16 * (3 + (numLayers % 11)) });
		assert.equal(budgets.length, numLayers);
		assert.equal(
			budgets.reduce((sum, each) => sum + each, 0),
			numLayers * 16 * (3 + (numLayers % 11)),
		);
		assert.ok(budgets.every((each, i) => each % 16 === 0 && each >= 48 && each <= (budgets[i - 1] ?? each)));
	}
	const option = (message: RegExp) => ({ code: "ERR_OCTAVO_OPTION", message });
	assert.throws(() => pyramid({ numLayers: undefined }), option(/value for numLayers but received undefined/));
	assert.throws(() => pyramid({ beta: 0.5 }), option(/at least 1, for beta but received 0.5/));
	assert.throws(() => pyramid({ window: 161 }), option(/0 to mean \(160\) for window but received 161/));
	assert.throws(() => pyramid({ mean: 150 }), refused(/multiple of blockSize \(16\)/));
	assert.throws(() => pyramid({ mean: 32 }), refused(/three blocks/));
});

test("an experiment compares a pyramid with the same budget in all layers", async () => {
	const { numLayers } = model.config;
	const { rows } = await accuracyByBudget(model, {
		task: "recall",
		numPrompts: 2,
		budgets: [64],
		policies: [
			{ name: "even", policy: (mean) => policies.snapKv({ budget: mean }) },
			{
				name: "pyramid",
				policy: (mean) => policies.snapKv({ budget: policies.pyramidBudget({ numLayers, blockSize: 8, mean }) }),
			},
		],
	});
	const at = (name: string) => rows.find(({ policy }) => policy === name)!;
	assert.equal(at("pyramid").budget, 64);
	assert.ok(Math.abs(at("pyramid").live_tokens - at("even").live_tokens) < 8);
});
