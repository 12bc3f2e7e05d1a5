// Policies written in TypeScript over caches that hold bf16 or f16: they read what the engine attends with, widened, in a
// session and in a batch.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import * as policies from "../sdk/decode/policies/index.js";
import type { ScoredTokens } from "../sdk/decode/scored-view.js";
import { loadModel, type Model } from "../sdk/load-model.js";

const blockSize = 8;
const budget = 32;
const form = { budget, granularity: "token" } as const;
const prompt = Array.from({ length: 61 }, (_, i) => (i * 97 + 13) % 256);
const fed = Array.from({ length: 40 }, (_, i) => ((i + 61) * 97 + 13) % 256);
const dtypes = ["bf16", "f16"] as const;
let model: Model;
before(async () => {
	model = await loadModel();
});

function run(policy: policies.Policy, kvDtype: "f32" | "bf16" | "f16") {
	const session = model.session({ blockSize, policy, kvDtype, seed: 7 });
	session.prefillSync(prompt);
	session.feedSync(fed);
	return session;
}

// Step, layer and positions that went of each eviction.
function dropped({ trace }: ReturnType<typeof run>) {
	const columns = ["step_index", "layer_index", "positions"] as const;
	return Array.from(trace.table("evictions").select([...columns]), String);
}

// The newest query's attention over the tokens' keys, averaged over query heads, from the definition.
function lastAttention(tokens: ScoredTokens): number[] {
	const numHeads = tokens.lastQuery.shape[0]!;
	const mass = Array<number>(tokens.numTokens).fill(0);
	for (let head = 0; head < numHeads; head++) {
		const query = tokens.lastQuery.at(head).data as Float32Array;
		const weights = mass.map((_, token) => {
			const key = tokens.key(token, head >> 1);
			return Math.exp(key.reduce((sum, x, i) => sum + x * query[i]!, 0) / Math.sqrt(key.length));
		});
		const total = weights.reduce((sum, weight) => sum + weight, 0);
		for (const [token, weight] of weights.entries()) mass[token]! += weight / total / numHeads;
	}
	return mass;
}

for (const kvDtype of dtypes) {
	test(`${kvDtype}: scores by cached keys drop the tokens that the built-in policy drops`, () => {
		const written = policies.custom({ ...form, needs: ["lastQuery", "keys"], score: lastAttention });
		using expected = run(policies.tova(form), kvDtype);
		using actual = run(written, kvDtype);
		using exact = run(written, "f32");
		assert.ok(dropped(expected).length >= 4 * fed.length);
		assert.deepEqual(dropped(actual), dropped(expected));
		assert.deepEqual(actual.logits.data, expected.logits.data);
		assert.notDeepEqual(actual.logits.data, exact.logits.data);
	});

	test(`${kvDtype}: vectors and norms of tokens and blocks are those of the numbers in the cache`, () => {
		const norm = (vector: ArrayLike<number>) => Math.hypot(...Array.from(vector));
		let numTokens = 0;
		let numBlocks = 0;
		const isNarrow = (x: number) =>
			kvDtype === "bf16" ? (new Uint32Array(Float32Array.of(x).buffer)[0]! & 0xffff) === 0 : fitsHalf(x);
		using _tokens = run(
			policies.custom({
				...form,
				needs: ["keys", "values", "norms"],
				score: ({ phase, key, value, norms, positions }) => {
					if (phase === "decode") {
						for (const vector of [key(3, 1), value(3, 1)]) assert.ok(vector.every(isNarrow), String(vector));
						assert.ok(Math.abs(norms.keys.get(3, 1) - norm(key(3, 1))) < 1e-4);
						assert.ok(Math.abs(norms.values.get(3, 1) - norm(value(3, 1))) < 1e-4);
						numTokens++;
					}
					return positions;
				},
			}),
			kvDtype,
		);
		using _blocks = run(
			policies.custom({
				budget,
				needs: ["norms"],
				score: ({ keys, norms, logicalIndex }) => {
					assert.equal(keys.dtype, kvDtype);
					assert.ok(Math.abs(norms.keys.get(2, 1) - norm(keys.at(1, 2).toFloat32())) < 1e-4);
					numBlocks++;
					return logicalIndex;
				},
			}),
			kvDtype,
		);
		assert.ok(numTokens >= 100 && numBlocks >= 20, `${numTokens} and ${numBlocks} questions`);
	});

	test(`${kvDtype}: sequences of a batch, of blocks and of tokens, are what they are alone`, async () => {
		const written = [
			policies.custom({ ...form, needs: ["lastQuery", "keys"], score: lastAttention }),
			policies.custom({ ...form, holes: "mask", needs: ["attentionMass"], score: (view) => view.attentionMass }),
			policies.custom({ budget, score: ({ keys }) => keys.at(0, 0).toFloat32()[0]! }),
		];
		const options = { maxTokens: 50, endTokens: [] };
		const short = prompt.slice(0, 20);
		// Too few blocks once all have grown, so that some are swapped out and come back.
		using batch = model.batch({ blockSize, numBlocks: 12, kvDtype });
		const sequences = written.map((policy) => batch.add(short, { ...options, policy, seed: 7 }));
		await batch.run();
		for (const [i, sequence] of sequences.entries()) {
			using alone = model.session({ blockSize, policy: written[i]!, kvDtype, seed: 7 });
			alone.prefillSync(short);
			alone.runSync(options);
			assert.equal(sequence.state, "finished");
			assert.deepEqual(sequence.tokens, alone.tokens);
			assert.deepEqual(sequence.logits.data, alone.logits.data);
			assert.ok(alone.trace.table("evictions").numRows > 0);
		}
		const { num_preemptions: preemptions } = batch.summary.get(0)!;
		assert.ok(preemptions > 0, `${preemptions} preemptions`);
	});
}

// 11 bits of significand, of a normal number.
function fitsHalf(x: number): boolean {
	const scaled = x / 2 ** (Math.max(-14, Math.floor(Math.log2(Math.abs(x) || 1))) - 10);
	return Number.isInteger(scaled);
}
