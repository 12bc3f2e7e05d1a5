// Every policy over a cache in 16 bits: what is evicted follows from the numbers as they are stored, which plain float64
// arithmetic over the session's views checks; memory, replay and batches hold as with f32.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { LayerView } from "../sdk/decode/layer-view.js";
import { loadModel, type Policy, policies, type StopEvent, tasks } from "../sdk/index.js";

const model = await loadModel();
after(() => model.close());
const { numLayers, numKvHeads, headDim } = model.config;
const { context } = tasks.recall({ seed: 3, contextLength: 60 });
const [blockSize, budget] = [8, 32];
const dtypes = ["bf16", "f16"] as const;
type Vector = number[];
type Evict = Extract<StopEvent, { kind: "evict" }>;

const mean = (numbers: readonly number[]) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length;
const dot = (a: Vector, b: Vector) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
const norm = (a: Vector) => Math.sqrt(dot(a, a));

// Keys or values of all cached tokens: [token][kv_head][head_dim], in order of the table.
function vectors(layer: LayerView, kind: "keys" | "values"): Vector[][] {
	return layer.blocks.flatMap((block) =>
		Array.from({ length: block.filled }, (_, slot) =>
			Array.from({ length: numKvHeads }, (_, head) => Array.from(block[kind].at(head, slot).toFloat32())),
		),
	);
}

const ratio = (layer: LayerView): Vector => {
	const values = vectors(layer, "values");
	return vectors(layer, "keys").map((heads, token) =>
		mean(heads.map((key, head) => norm(values[token]![head]!) / norm(key))),
	);
};

function distinctness(layer: LayerView): Vector {
	const units = vectors(layer, "keys").map((heads) => heads.map((key) => key.map((x) => x / norm(key))));
	const anchors = units[0]!.map((first, head) => first.map((_, i) => mean(units.map((heads) => heads[head]![i]!))));
	return units.map((heads) => mean(heads.map((unit, head) => -dot(unit, anchors[head]!) / norm(anchors[head]!))));
}

const lastAttention = (layer: LayerView): Vector => {
	const pattern = layer.pattern();
	const [numHeads, length] = pattern.shape as [number, number];
	return Array.from({ length }, (_, slot) =>
		mean(Array.from({ length: numHeads }, (_, head) => pattern.get(head, slot))),
	);
};

interface Definition {
	policy: Policy;
	/** Scores of a layer's tokens, by the paper's definition. */
	scores: (layer: LayerView) => Vector;
}

const scored: Record<string, Definition> = {
	"paged-eviction": { policy: policies.pagedEviction({ budget }), scores: ratio },
	"inverse-key-norm": {
		policy: policies.inverseKeyNorm({ budget }),
		scores: (layer) => vectors(layer, "keys").map((heads) => mean(heads.map((key) => 1 / norm(key)))),
	},
	"key-diff": { policy: policies.keyDiff({ budget }), scores: distinctness },
	tova: { policy: policies.tova({ budget }), scores: lastAttention },
};

for (const kvDtype of dtypes) {
	for (const [name, { policy, scores }] of Object.entries(scored)) {
		test(`${name} in ${kvDtype} evicts the block that scores lowest by what is stored`, async (t) => {
			using session = model.session({ blockSize, policy, kvDtype });
			session.prefillSync(context);
			session.breakOn("evict", ({ phase }) => phase === "decode");
			let [numStops, numScores, worst] = [0, 0, 0];
			const target = context.length + 48;
			for (let stop = await session.run({ maxTokens: 48, endTokens: [] }); stop.reason === "breakpoint"; ) {
				const event = stop.event as Evict;
				const layer = session.layer(event.layer);
				assert.equal(layer.keys.dtype, kvDtype);
				const tokens = scores(layer);
				for (const [i, block] of event.candidates.entries()) {
					const expected = mean(tokens.slice(block * blockSize, (block + 1) * blockSize));
					const off = Math.abs(event.candidateScores[i]! - expected) / Math.abs(expected);
					worst = Math.max(worst, off);
					numScores++;
				}
				const lowest = event.candidateScores.indexOf(Math.min(...event.candidateScores));
				assert.equal(event.logicalIndex, event.candidates[lowest]);
				numStops++;
				stop = await session.run({ maxTokens: target - session.numTokens, endTokens: [] });
			}
			t.diagnostic(`worst relative difference of ${numScores} scores: ${worst}`);
			assert.ok(numStops >= 4 * numLayers && numScores >= 10, `${numStops} evictions, ${numScores} scores`);
			// A score of unrounded numbers would be off by more: they differ by up to half a unit, 2^-11 of f16.
			assert.ok(worst < 1e-5, `${worst}`);
		});
	}
}

const forms = { recycle: {}, mask: { holes: "mask" }, compact: { holes: "compact" } } as const;
const everyPolicy: Policy[] = [
	...Object.values(scored).map(({ policy }) => policy),
	policies.full(),
	policies.streamingLlm({ budget }),
	policies.streamingLlm({ budget, positions: "reassigned" }),
	policies.h2o({ budget }),
	policies.snapKv({ budget }),
	policies.random({ budget }),
	policies.custom({ budget, score: (block) => block.keys.toFloat32()[0]! }),
	policies.pagedEviction({ budget, scope: { shared: "mean-rank" } }),
	policies.inverseKeyNorm({ budget, prefillAttention: "evicted" }),
	...Object.values(forms).map((form) => policies.keyDiff({ budget, granularity: "token", ...form })),
	policies.h2o({ budget, granularity: "token" }),
	policies.tova({ budget, granularity: "token", holes: "mask" }),
	policies.inverseKeyNorm({ budget, granularity: "token", heads: "per-head" }),
];
const numTokens = 40;
const named = (policy: Policy) => JSON.stringify(policy);

for (const kvDtype of dtypes) {
	test(`in ${kvDtype} every policy takes half the bytes, evicts as often, and replays bit for bit`, () => {
		for (const policy of everyPolicy) {
			const run = (kvDtype: "f32" | "bf16" | "f16") => {
				const session = model.session({ blockSize, policy, kvDtype, seed: 5, history: 12 });
				session.prefillSync(context);
				session.runSync({ maxTokens: numTokens, endTokens: [] });
				return session;
			};
			using session = run(kvDtype);
			using exact = run("f32");
			const last = session.trace.table("memory").toArray().at(-1)!;
			const perToken = 2 * 2 * numKvHeads * headDim;
			assert.equal(Number(last.live_bytes), perToken * last.live_tokens, named(policy));
			assert.equal(Number(last.allocated_bytes), perToken * last.allocated_tokens, named(policy));
			const sizes = (of: typeof session) => [...of.trace.table("memory")].map((row) => row.live_tokens);
			assert.deepEqual(sizes(session), sizes(exact), named(policy));
			assert.notDeepEqual(session.logits.data, exact.logits.data, named(policy));
			const went = () => [...session.trace.table("evictions")].map((row) => [...row.positions].join());
			const before = { went: went(), logits: session.logits.toFloat32().slice(), tokens: session.tokens.slice() };
			session.rewind({ tokens: session.numTokens - 10 });
			session.runSync({ maxTokens: 10, endTokens: [] });
			assert.deepEqual(
				{ went: went(), logits: session.logits.toFloat32(), tokens: session.tokens },
				before,
				named(policy),
			);
		}
	});

	test(`in ${kvDtype} a batch's sequence of every policy is what it is alone, swapped out on the way`, async () => {
		using batch = model.batch({ blockSize, kvDtype, numBlocks: 24 });
		const shared = everyPolicy.filter((policy) => policy.heads !== "per-head");
		const options = { maxTokens: numTokens, endTokens: [], seed: 5 };
		const sequences = shared.map((policy) => batch.add(context, { ...options, policy }));
		await batch.run();
		assert.ok(batch.summary.get(0)!.num_preemptions > 0);
		for (const [i, sequence] of sequences.entries()) {
			using session = model.session({ blockSize, policy: shared[i]!, kvDtype, seed: 5 });
			session.prefillSync(context);
			session.runSync({ maxTokens: numTokens, endTokens: [] });
			assert.deepEqual(sequence.tokens, session.tokens, named(shared[i]!));
			assert.deepEqual(sequence.logits.data, session.logits.data, named(shared[i]!));
		}
	});
}
