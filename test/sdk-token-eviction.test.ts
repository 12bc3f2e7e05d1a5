// Token-level eviction as a notebook sees it: options, layer views with holes, charts, decisions, the trace.

import assert from "node:assert/strict";
import { test } from "node:test";
import { chart, loadModel, policies, tasks } from "../sdk/index.js";

const model = await loadModel();
const prompt = tasks.recall({ seed: 1 }).context;
const budget = 32;

test("options that do not fit together are refused by name", () => {
	const refused: [() => unknown, RegExp][] = [
		[() => policies.h2o({ budget, holes: "mask" }), /granularity "token", for holes/],
		[() => policies.keyDiff({ budget, granularity: "token", holes: "mask", heads: "per-head" }), /"recycle"/],
		[() => policies.tova({ budget, protectNewest: false }), /protectNewest/],
		[() => policies.tova({ budget, heads: "per-head" } as never), /Expected options .* but received heads/],
		[() => policies.inverseKeyNorm({ budget, skipLayers: [-1] }), /a layer for skipLayers\[0\]/],
		[() => policies.random({ budget, granularity: "tokens" as never }), /granularity/],
		[() => policies.h2o({ budget, heads: "per-head", scope: { shared: "mean-rank" } }), /"shared" with scope/],
		[
			() => policies.tova({ budget, granularity: "token", protectNewest: false, scope: { shared: "mean-score" } }),
			/true with scope \{ shared: "mean-score" \} for protectNewest/,
		],
		[() => policies.keyDiff({ budget, heads: "per-head", prefillAttention: "evicted" }), /prefillAttention/],
	];
	for (const [make, message] of refused) assert.throws(make, { code: "ERR_OCTAVO_OPTION", message });
	for (const policy of [policies.streamingLlm({ budget, sinks: 5 }), policies.h2o({ budget, recent: 31 })]) {
		assert.throws(() => model.session({ blockSize: 8, policy }), { code: "ERR_OCTAVO_BUDGET" });
	}
});

test("holes show in layer views, in the trace and in the block map", async () => {
	const policy = policies.random({ budget, granularity: "token", holes: "mask" });
	using session = model.session({ blockSize: 8, policy, seed: 7 });
	await session.prefill(prompt);
	await session.run({ maxTokens: 40, endTokens: [] });
	const layer = session.layer(1);
	assert.equal(layer.kvLen, budget);
	const holes = layer.blocks.reduce((sum, block) => sum + block.filled - block.numLive, 0);
	assert.ok(holes > 0);
	assert.equal(layer.blocks.flatMap((block) => [...block.positions]).filter((position) => position < 0).length, holes);
	assert.equal(layer.pattern({ head: 0 }).shape[0], budget);
	const step = session.trace.table("steps").numRows - 1;
	const row = session.trace.table("memory").toArray().at(-1)!;
	assert.ok(Math.abs(row.fragmentation - (1 - row.live_tokens / row.allocated_tokens)) < 1e-6);
	assert.equal(row.live_tokens, budget);
	const figure = chart.blockMap(session.trace, { layer: 1, step });
	const drawn = (figure.data[0] as { z: (number | null)[][] }).z;
	assert.deepEqual(
		drawn.flat().filter((cell) => cell !== null),
		layer.blocks.flatMap((block) => [...block.positions]).filter((position) => position >= 0),
	);
	assert.match(JSON.stringify(figure.layout), /or a hole that a dropped token left/);
	const evictions = session.trace.table("evictions").toArray().slice(-1);
	assert.equal(evictions[0]!.granularity, "token");
	assert.ok(evictions[0]!.slot_index >= 0 && evictions[0]!.candidates.length > 0);
});

test("each head keeps its own tokens, and charts show one of them", async () => {
	const policy = policies.inverseKeyNorm({ budget, granularity: "token", heads: "per-head" });
	using session = model.session({ blockSize: 8, policy });
	await session.prefill(prompt);
	await session.run({ maxTokens: 20, endTokens: [] });
	const { headPositions, positions } = session.layer(2).block(1);
	assert.ok(headPositions!.length > 1);
	assert.deepEqual(positions, headPositions![0]);
	assert.notDeepEqual(headPositions![0], headPositions![1]);
	const first = chart.blockMap(session.trace, { layer: 2, step: 20 });
	const second = chart.blockMap(session.trace, { layer: 2, step: 20, head: 1 });
	assert.notDeepEqual(first.data, second.data);
	assert.match(JSON.stringify(second.layout), /those of head 1 of \d+ are drawn/);
	assert.throws(() => chart.survival(session.trace, { head: 99 }), { code: "ERR_OCTAVO_CHART" });
});

test("a stop before a token goes takes a veto, or another position", async () => {
	const policy = policies.tova({ budget, granularity: "token" });
	using session = model.session({ blockSize: 8, policy });
	await session.prefill(prompt);
	session.breakOn("evict", (event) => event.phase === "decode" && event.layer === 1);
	const first = await session.run({ maxTokens: 5, endTokens: [] });
	assert.ok(first.reason === "breakpoint" && first.event.kind === "evict");
	assert.equal(first.event.granularity, "token");
	for (const wrong of [prompt.length, -1, 1.5, 1000]) {
		const { event } = first;
		assert.throws(() => event.replaceWith(wrong), {
			code: "ERR_OCTAVO_ARGUMENT",
			message: /position of a cached token/,
		});
	}
	first.event.replaceWith(0);
	const second = await session.run({ maxTokens: 5, endTokens: [] });
	assert.ok(second.reason === "breakpoint" && second.event.kind === "evict");
	assert.ok(!session.layer(1).blocks.some((block) => block.positions.includes(0)));
	second.event.veto();
	await session.step();
	assert.equal(session.layer(1).kvLen, budget + 1);
	const row = session.trace
		.table("evictions")
		.toArray()
		.find((each) => each.chosen_by === "user")!;
	assert.deepEqual([...row.positions], [0]);
});

test("layers that are skipped keep everything; reassigned positions go on", async () => {
	using session = model.session({ blockSize: 8, policy: policies.inverseKeyNorm({ budget, skipLayers: [0] }) });
	await session.prefill(prompt);
	await session.run({ maxTokens: 20, endTokens: [] });
	assert.equal(session.layer(0).kvLen, prompt.length + 20);
	assert.ok(session.layer(1).kvLen < budget + 8);
	const policy = policies.streamingLlm({ budget, granularity: "token", sinks: 2, positions: "reassigned" });
	using stream = model.session({ blockSize: 8, policy });
	await stream.prefill(prompt);
	await stream.run({ maxTokens: 20, endTokens: [] });
	assert.deepEqual([...stream.layer(0).block(0).positions].slice(0, 2), [0, 1]);
});

test("steps that come together have the evictions of their own", async () => {
	using session = model.session({ blockSize: 8, policy: policies.streamingLlm({ budget, granularity: "token" }) });
	await session.prefill(prompt);
	const steps = await session.feed([150, 151, 152]);
	assert.equal(steps.length, 3);
	for (const { index, evictions } of steps) {
		assert.equal(evictions.length, model.config.numLayers);
		for (const eviction of evictions) assert.equal(eviction.step, index);
	}
	assert.deepEqual(
		steps.map(({ evictions }) => evictions[0]!.positions),
		[[prompt.length - budget + 4], [prompt.length - budget + 5], [prompt.length - budget + 6]],
	);
});
