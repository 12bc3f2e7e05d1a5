// One decision for all layers and prompts cut before they attend, through the SDK: options, stops, the trace; what they
// choose is checked by the engine's own tests.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import * as policies from "../sdk/decode/policies/index.js";
import { loadModel, type Model } from "../sdk/load-model.js";
import { recall } from "../sdk/model/tasks/recall.js";

const budget = 32;
const scoped = {
	pagedEviction: {},
	inverseKeyNorm: {},
	keyDiff: {},
	tova: {},
	h2o: {},
	snapKv: {},
	random: {},
	streamingLlm: {},
};
const make = (name: string, options: object): policies.Policy =>
	(policies as unknown as Record<string, (options: object) => policies.Policy>)[name]!({ budget, ...options });
const refused = (message: RegExp) => ({ code: "ERR_OCTAVO_OPTION", message });
const prompt = recall({ seed: 3, contextLength: 60 }).context;
let model: Model;
before(async () => {
	model = await loadModel();
});

test("scope and prefillAttention are options with checked values; defaults leave a policy's value as it was", () => {
	for (const name of Object.keys(scoped)) {
		assert.deepEqual(make(name, { scope: "per-layer", prefillAttention: "full" }), make(name, {}), name);
		assert.equal(make(name, { scope: { shared: "mean-rank" } }).shared, "mean-rank");
		assert.equal("scope" in make(name, { scope: { shared: "layer-0" } }), false);
		for (const scope of ["layer-0", "shared", {}, { shared: "mean" }, { shared: "layer-0", layer: 1 }, null, 0]) {
			assert.throws(() => make(name, { scope }), refused(/for scope/));
		}
		assert.throws(() => make(name, { prefillAttention: "none" }), refused(/for prefillAttention/));
	}
	for (const name of ["tova", "h2o", "snapKv"]) {
		assert.throws(() => make(name, { prefillAttention: "evicted" }), refused(/scores a prompt by its attention/));
	}
	for (const name of ["pagedEviction", "inverseKeyNorm", "keyDiff", "random", "streamingLlm"]) {
		assert.equal(make(name, { prefillAttention: "evicted" }).prefillAttention, "evicted");
		const both = { prefillAttention: "evicted", scope: { shared: "mean-score" } };
		assert.throws(() => make(name, both), refused(/"layer-0".*mean-score/));
	}
	assert.throws(() => policies.full({ scope: { shared: "layer-0" } } as never), refused(/no options/));
	assert.throws(
		() => policies.snapKv({ budget, poolingWidth: 4 }),
		refused(/odd number for poolingWidth but received 4/),
	);
	assert.throws(() => policies.snapKv({ budget, pooling: "sum" as never }), refused(/for pooling/));
	assert.throws(() => policies.h2o({ budget, normalised: 1 as never }), refused(/for normalised/));
});

test("under a shared scope all layers drop the same tokens, and the trace says by which policy", () => {
	for (const name of Object.keys(scoped)) {
		const session = model.session({ blockSize: 8, policy: make(name, { scope: { shared: "mean-rank" } }) });
		session.prefillSync(prompt);
		const { evictions } = session.stepSync();
		session.runSync({ maxTokens: 20 });
		const held = [0, 1, 2, 3].map((layer) => session.layer(layer).blocks.flatMap((block) => [...block.positions]));
		for (const positions of held) assert.deepEqual(positions, held[0], name);
		assert.ok(evictions.length % 4 === 0);
		assert.equal(session.trace.metadata.policyOptions?.shared, "mean-rank");
		assert.equal(session.fork().trace.metadata.policyOptions?.shared, "mean-rank");
		session.close();
	}
	const perLayer = model.session({ blockSize: 8, policy: policies.keyDiff({ budget }) });
	perLayer.prefillSync(prompt);
	const [first, second] = [0, 1].map((layer) => perLayer.layer(layer).blocks.flatMap((block) => [...block.positions]));
	assert.notDeepEqual(first, second);
});

test("layer 0's stop decides for all layers; the others' refuse", () => {
	const policy = policies.pagedEviction({ budget, scope: { shared: "mean-score" } });
	const session = model.session({ blockSize: 8, policy });
	session.prefillSync(prompt);
	session.breakOn("evict");
	const decided: number[] = [];
	for (let layer = 0; layer < 4; layer++) {
		const { reason, event } = session.runSync({ maxTokens: 20 }) as never as {
			reason: string;
			event: import("../sdk/index.js").EvictionStop;
		};
		assert.deepEqual([reason, event.layer, event.shared], ["breakpoint", layer, true]);
		if (layer === 0) event.replaceWith(2);
		else {
			decided.push(event.logicalIndex!);
			for (const act of [() => event.veto(), () => event.replaceWith(1)]) {
				assert.throws(act, { code: "ERR_OCTAVO_ARGUMENT", message: /stop of layer 0.*received that of layer/ });
			}
		}
	}
	assert.deepEqual(decided, [2, 2, 2]);
	assert.deepEqual(
		session.stepSync().evictions.map((row) => [row.layer, row.chosenBy, row.logicalIndex]),
		[0, 1, 2, 3].map((layer) => [layer, "user", 2]),
	);
});

test("a prompt that is cut before it attends leaves other states than one that attends in full, from layer 1 on", () => {
	const keysOf = (prefillAttention: "full" | "evicted") => {
		const session = model.session({ blockSize: 8, policy: policies.streamingLlm({ budget, prefillAttention }) });
		session.prefillSync(prompt);
		return [0, 1].map((layer) => session.layer(layer).blocks.map((block) => Array.from(block.keys.data)));
	};
	const [full, evicted] = [keysOf("full"), keysOf("evicted")];
	assert.deepEqual(evicted[0], full[0]);
	assert.notDeepEqual(evicted[1], full[1]);
});
