// The native door of time travel: hostile arguments, calls at the wrong time, and memory that outlives its session.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { AdvanceRequest, LlamaSpec, SessionSpec } from "../native/addon.js";
import { loadAddon } from "../native/load.js";

const shape: LlamaSpec = {
	...{ numLayers: 2, hiddenSize: 16, intermediateSize: 24, numQueryHeads: 4, numKvHeads: 2, headDim: 4 },
	...{ vocabSize: 29, maxPositions: 400, rmsNormEps: 1e-5, ropeTheta: 10000, tieWordEmbeddings: true },
};
const spec: SessionSpec = {
	...{ blockSize: 4, numBlocks: 40, policy: { name: "paged-eviction", budget: 12 }, seed: 1, recordBlocks: true },
	history: 10,
};
const request = (rest: Partial<AdvanceRequest> = {}): AdvanceRequest => ({
	maxSteps: 1,
	sampling: { temperature: 1, topK: 0, topP: 1 },
	...rest,
});
const open = (more: Partial<SessionSpec> = {}) => {
	const session = loadAddon()
		.randomModel(shape, 3)
		.createSession({ ...spec, ...more });
	session.prefill(Int32Array.from({ length: 14 }, (_, i) => i));
	session.advance(request());
	return session;
};

test("hostile arguments are refused by name and change nothing", () => {
	const session = open();
	session.advance(request({ maxSteps: 5 }));
	const state = () =>
		JSON.stringify([session.tokens(), session.layerState(0), session.rewindPoints(), session.numTokens]);
	const before = state();
	const hostile = [
		undefined,
		null,
		3,
		"a",
		{},
		[],
		{ snapshot: -1 },
		{ snapshot: 1.5 },
		{ tokens: "5" },
		{ stepIndex: -2 },
	];
	for (const target of [...hostile, { snapshot: 2 ** 53 }, { tokens: Number.NaN }, () => 1]) {
		assert.throws(() => session.rewind(target as never), { code: "ERR_OCTAVO_ARGUMENT" });
	}
	assert.throws(() => session.rewind({ snapshot: 77 }), { code: "ERR_OCTAVO_SNAPSHOT" });
	assert.throws(() => session.rewind({ tokens: 2 ** 53 - 1 }), { code: "ERR_OCTAVO_HISTORY" });
	for (const id of [undefined, "1", -1, {}]) {
		assert.throws(() => session.dropSnapshot(id as never), { code: "ERR_OCTAVO_ARGUMENT" });
	}
	for (const fork of [
		undefined,
		1,
		{ policy: 3 },
		{ policy: {} },
		{ policy: { name: "none" } },
		{ seed: -1 },
		{ seed: "1" },
	]) {
		assert.throws(() => session.fork(fork as never), { code: "ERR_OCTAVO_ARGUMENT" });
	}
	assert.throws(() => session.fork({ policy: { name: "streaming-llm", budget: 5 } }), { code: "ERR_OCTAVO_BUDGET" });
	for (const layer of [undefined, -1, 2, 1.5, "0"]) {
		assert.throws(() => session.attentionPattern(layer as never), { code: "ERR_OCTAVO_ARGUMENT" });
	}
	for (const decision of [{ veto: true }, { replaceWith: 1 }, { replaceWith: -1 }, { veto: 1 }, {}, 3]) {
		assert.throws(() => session.advance(request({ decision: decision as never })), { code: "ERR_OCTAVO_ARGUMENT" });
	}
	for (const history of [-1, 1.5, "3", 2 ** 40]) {
		assert.throws(() => open({ history: history as never }), { code: "ERR_OCTAVO_ARGUMENT" });
	}
	assert.throws(() => Reflect.apply(session.rewind, loadAddon(), [{ tokens: 0 }]), TypeError);
	assert.equal(state(), before);
});

test("a decision is taken only at the eviction of a block, and a wrong one leaves the stop as it was", () => {
	const session = open();
	const stopped = session.advance(request({ maxSteps: 20, stop: { evict: true, layer: 1 } }));
	assert.equal(stopped.reason, "event");
	for (const wrong of [3, 4, 1000]) {
		assert.throws(() => session.advance(request({ decision: { replaceWith: wrong } })), {
			code: "ERR_OCTAVO_ARGUMENT",
		});
	}
	assert.equal(session.insideStep, true);
	session.advance(request({ decision: { replaceWith: 0 } }));
	const { evictions } = session.takeTrace();
	assert.deepEqual(Array.from(evictions.chosen_by as Uint8Array).slice(-1), [1]);
	assert.deepEqual(Array.from(evictions.logical_index as Int32Array).slice(-1), [0]);
});

test("a busy or disposed session is left alone, and a fork outlives its parent and model", async () => {
	const session = open();
	const running = session.advanceAsync(request({ maxSteps: 30 }));
	for (const call of [
		() => session.takeSnapshot(),
		() => session.rewind({ tokens: 0 }),
		() => session.fork({}),
		() => session.attentionPattern(0),
		() => session.rewindPoints(),
	]) {
		assert.throws(call, { code: "ERR_OCTAVO_BUSY" });
	}
	await running;
	const fork = session.fork({});
	session.takeSnapshot();
	session.dispose();
	for (const call of [() => session.takeSnapshot(), () => session.rewind({ tokens: 0 }), () => session.fork({})]) {
		assert.throws(call, { code: "ERR_OCTAVO_CLOSED" });
	}
	const { keys } = fork.layerCache(0);
	assert.equal(fork.advance(request({ maxSteps: 8 })).numSteps, 8);
	assert.equal(fork.layerState(0).numParkedBlocks < 8, true);
	fork.rewind({ tokens: 0 });
	assert.equal(fork.layerState(0).numFreeBlocks, 40, "the parent's snapshots and history are gone with it");
	fork.dispose();
	assert.equal(new Float32Array(keys.buffer).length, 40 * 2 * 4 * 4);
});
