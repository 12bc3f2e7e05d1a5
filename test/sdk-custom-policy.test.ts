// Policies written in TypeScript: the same blocks go as by the built-in policy with those scores, in every form of
// stepping; what the function throws comes out of the call, and nothing is lost by it.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import type { Table } from "apache-arrow";
import type { BlockView } from "../sdk/decode/layer-view.js";
import { custom, full, inverseKeyNorm, type Policy, streamingLlm } from "../sdk/decode/policies/index.js";
import { loadModel, type Model } from "../sdk/load-model.js";
import { recall } from "../sdk/model/tasks/recall.js";

const prompt = recall({ seed: 5, contextLength: 30 }).context;
const sampling = { temperature: 1, topK: 40 };
const budget = 32;
let model: Model;
before(async () => {
	model = await loadModel();
});

const begin = (policy: Policy, history = 0) => {
	const session = model.session({ blockSize: 8, seed: 7, policy, history, forks: 2 });
	session.prefillSync(prompt);
	return session;
};
const evictions = (session: { trace: { table(name: "evictions"): unknown } }) => {
	const table = session.trace.table("evictions") as Table;
	return ["step_index", "layer_index", "logical_index", "chosen_by"].map((name) =>
		Array.from(table.getChild(name)!, String),
	);
};

// Mean over heads and slots of 1 / |key|, from the view that the function is given.
function inverseNorm({ keys }: BlockView): number {
	const [numHeads, numSlots, headDim] = keys.shape as [number, number, number];
	const data = keys.data as Float32Array;
	let sum = 0;
	for (let row = 0; row < numHeads * numSlots; row++) {
		sum += 1 / Math.hypot(...data.subarray(row * headDim, (row + 1) * headDim));
	}
	return sum / (numHeads * numSlots);
}

test("a function with a built-in policy's scores evicts what that policy evicts, however it is stepped", async () => {
	const builtIn = begin(inverseKeyNorm({ budget }));
	builtIn.runSync({ maxTokens: 60, sampling });
	const expected = evictions(builtIn);
	assert.ok(expected[0]!.length >= 4 * 6);
	const policy = custom({ budget, score: inverseNorm });
	const forms = {
		runSync: (s: ReturnType<typeof begin>) => s.runSync({ maxTokens: 60, sampling }),
		run: (s: ReturnType<typeof begin>) => s.run({ maxTokens: 60, sampling }),
		steps: async (s: ReturnType<typeof begin>) => {
			for await (const _ of s.steps({ maxTokens: 60, sampling }));
		},
		feed: (s: ReturnType<typeof begin>) => s.feed(builtIn.tokens.slice(30)),
	};
	for (const [name, advance] of Object.entries(forms)) {
		const session = begin(policy);
		await advance(session);
		assert.deepEqual(session.tokens, builtIn.tokens, name);
		assert.deepEqual(session.logits.data, builtIn.logits.data, name);
		assert.deepEqual(evictions(session), expected, name);
		session.close();
	}
});

test("breakpoints, rewind and forks work with a function as with a built-in policy", () => {
	const policy = custom({ budget, score: (block) => block.positions[0]! });
	const session = begin(policy, 40);
	session.breakOn("evict", ({ layer }) => layer === 2);
	const stop = session.runSync({ maxTokens: 20, sampling });
	assert.ok(stop.reason === "breakpoint" && stop.event.kind === "evict");
	assert.equal(stop.event.logicalIndex, 1);
	assert.equal(stop.event.score, session.layer(2).block(1).positions[0]);
	stop.event.replaceWith(3);
	const { evictions: made } = session.stepSync();
	assert.deepEqual(
		made.map(({ logicalIndex, chosenBy }) => [logicalIndex, chosenBy]),
		[1, 1, 3, 1].map((index) => [index, index === 3 ? "user" : "policy"]),
	);
	session.rewind({ before: stop.event });
	const fork = session.fork();
	const plain = session.fork({ policy: streamingLlm({ budget }) });
	for (const each of [fork, plain]) each.runSync({ maxTokens: 30, sampling });
	assert.deepEqual(evictions(fork), evictions(plain), "oldest first is streaming-llm");
	assert.deepEqual(fork.logits.data, plain.logits.data);
	const back = begin(full()).fork({ policy });
	back.runSync({ maxTokens: 30, sampling });
	assert.ok(back.layer(0).kvLen < budget + 8);
});

test("a long prompt is cut back when decode fills a block", () => {
	const session = model.session({ blockSize: 8, policy: custom({ budget, score: (block) => block.logicalIndex }) });
	session.prefillSync(recall({ seed: 5, contextLength: 100 }).context);
	assert.equal(session.layer(0).kvLen, 100);
	session.runSync({ maxTokens: 4, sampling });
	assert.equal(session.layer(0).kvLen, budget);
	assert.deepEqual([...session.layer(0).block(0).positions], [0, 1, 2, 3, 4, 5, 6, 7]);
});

for (const [name, fail] of Object.entries({
	exception: () => {
		throw new RangeError("from the cell");
	},
	NaN: () => Number.NaN,
	text: () => "high" as never,
})) {
	test(`${name} in the function stops the session, which goes on as if nothing had been`, async () => {
		let failures = 2;
		const score = (block: BlockView) =>
			block.layer === 1 && block.logicalIndex === 2 && failures-- > 0 ? fail() : inverseNorm(block);
		const session = begin(custom({ budget, score }));
		const expected = name === "exception" ? RangeError : { code: "ERR_OCTAVO_POLICY", message: /block 2 of layer 1/ };
		await assert.rejects(session.run({ maxTokens: 60, sampling }), expected);
		const { numTokens } = session;
		const layers = [0, 1].map((layer) => session.layer(layer).kvLen);
		assert.deepEqual(layers, [32, 40], "layer 0 is cut, layer 1 waits for its scores");
		assert.throws(() => session.stepSync({ sampling }), expected);
		assert.equal(session.numTokens, numTokens);
		session.runSync({ maxTokens: 90 - numTokens, sampling });
		const undisturbed = begin(custom({ budget, score: inverseNorm }));
		undisturbed.runSync({ maxTokens: 60, sampling });
		assert.deepEqual(session.tokens, undisturbed.tokens);
		assert.deepEqual(session.logits.data, undisturbed.logits.data);
		assert.deepEqual(evictions(session), evictions(undisturbed));
	});
}

test("what is no policy is refused", () => {
	const wrong = (options: object) => () => custom(options as never);
	assert.throws(wrong({ budget, score: 5 }), { code: "ERR_OCTAVO_OPTION", message: /function for score/ });
	assert.throws(wrong({ budget: -1, score: () => 0 }), { code: "ERR_OCTAVO_BUDGET" });
	assert.throws(wrong({ budget, score: () => 0, granularity: "page" }), { code: "ERR_OCTAVO_OPTION" });
	assert.throws(wrong({ budget, scores: () => 0 }), { code: "ERR_OCTAVO_OPTION", message: /did you mean score/ });
	const copy = { ...custom({ budget, score: () => 0 }) };
	assert.throws(() => model.session({ policy: copy }), { code: "ERR_OCTAVO_OPTION", message: /a copy/ });
	assert.throws(() => begin(full()).fork({ policy: copy }), { code: "ERR_OCTAVO_OPTION", message: /a copy/ });
});
