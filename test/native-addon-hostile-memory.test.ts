// Hostile sizes and memory: products that overflow, blocks that are not there, buffers that go away or change under the
// engine. A clear error each, nothing read out of bounds. Runs in one process on purpose, as native-addon-hostile does.

import assert from "node:assert/strict";
import { test } from "node:test";
import { addon, attention, codeOf, llama, newSession, request, spec } from "./helpers/hostile-calls.js";

test("sizes whose product overflows or exceeds all memory", () => {
	const huge = 2 ** 24;
	const sizes = { numLayers: 4096, hiddenSize: 2 ** 20, intermediateSize: 2 ** 22, vocabSize: huge };
	assert.equal(
		codeOf(() => addon.randomModel({ ...llama, ...sizes }, 1)),
		"ERR_OCTAVO_MEMORY",
	);
	assert.match(
		codeOf(() => addon.randomModel({ ...llama, numQueryHeads: huge, numKvHeads: huge, headDim: huge }, 1)),
		/MODEL_CONFIG|MEMORY/,
	);
	const model = addon.randomModel(llama, 1);
	assert.equal(
		codeOf(() => model.createSession({ ...spec, numBlocks: 2 ** 31 - 1 })),
		"ERR_OCTAVO_ARGUMENT",
	);
	assert.equal(
		codeOf(() => model.createSession({ ...spec, blockSize: 256, numBlocks: 2 ** 20 })),
		"ERR_OCTAVO_ARGUMENT",
	);
	const most = 2 ** 31 - 1;
	for (const field of ["numQueryHeads", "headDim", "blockSize", "kvLen"]) {
		assert.equal(
			codeOf(() => addon.pagedAttention({ ...attention, [field]: most })),
			"ERR_OCTAVO_ARGUMENT",
			field,
		);
	}
	assert.equal(
		codeOf(() =>
			addon.pagedAttention({ ...attention, numQueryHeads: most, numKvHeads: most, headDim: most, blockSize: most }),
		),
		"ERR_OCTAVO_ARGUMENT",
	);
	assert.equal(
		codeOf(() => addon.pagedAttention({ ...attention, kvLen: Number.MAX_SAFE_INTEGER })),
		"ERR_OCTAVO_ARGUMENT",
	);
});

test("block ids out of range, short tables and detached buffers are never read", () => {
	const good = addon.pagedAttention(attention);
	assert.deepEqual(good, new Float32Array(4).fill(1));
	for (const ids of [[2, 0], [1, -1], [2 ** 30, 0], [1]]) {
		assert.equal(
			codeOf(() => addon.pagedAttention({ ...attention, blockTable: Int32Array.from(ids) })),
			"ERR_OCTAVO_ARGUMENT",
		);
	}
	for (const field of ["query", "keyCache", "valueCache", "blockTable"] as const) {
		const array = attention[field].slice();
		structuredClone(array.buffer, { transfer: [array.buffer] });
		assert.equal(
			codeOf(() => addon.pagedAttention({ ...attention, [field]: array })),
			"ERR_OCTAVO_ARGUMENT",
			field,
		);
	}
	// A getter that detaches what was read before it.
	const victim = attention.query.slice();
	const trap = Object.defineProperty({ ...attention, query: victim }, "valueCache", {
		get() {
			structuredClone(victim.buffer, { transfer: [victim.buffer] });
			return attention.valueCache;
		},
	});
	assert.equal(
		codeOf(() => addon.pagedAttention(trap)),
		"ERR_OCTAVO_ARGUMENT",
	);
	const detached = new Int32Array(4);
	structuredClone(detached.buffer, { transfer: [detached.buffer] });
	const fresh = addon.randomModel(llama, 1).createSession(spec);
	assert.equal(
		codeOf(() => fresh.prefill(detached)),
		"ERR_OCTAVO_TOKEN",
	);
	fresh.prefill(new Int32Array(new SharedArrayBuffer(16)));
	assert.equal(fresh.advance(request).numSteps, 1);
});

test("the memory of views can be written, transferred and dropped", () => {
	const session = newSession();
	for (const view of [session.layerCache(0).keys, session.layerCache(0).positions, session.logits()]) {
		new Uint8Array(view.buffer).fill(0xff);
	}
	assert.equal(
		codeOf(() => session.advance({ ...request, maxSteps: 2 })),
		"ERR_OCTAVO_NAN",
	);
	const model = addon.randomModel(llama, 1);
	const { buffer } = model.weight("model.norm.weight");
	new Float32Array(buffer)[0] = Number.NaN;
	const poisoned = model.createSession(spec);
	poisoned.prefill(Int32Array.of(1));
	assert.equal(
		codeOf(() => poisoned.advance(request)),
		"ERR_OCTAVO_NAN",
	);
	const { positions } = session.layerCache(1);
	try {
		structuredClone(positions.buffer, { transfer: [positions.buffer] });
	} catch (error) {
		assert.equal((error as Error).name, "DataCloneError");
	}
	assert.equal(new Int32Array(session.layerCache(1).positions.buffer)[0], 0);
});
