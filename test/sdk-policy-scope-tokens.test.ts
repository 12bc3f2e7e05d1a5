// Single tokens under one decision for all layers: same places everywhere, in every form; stops, forks, replay and batches
// as with blocks. What is chosen is checked by the engine's own tests.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type EvictionStop, loadModel, type Policy, policies, type Session, tasks } from "../sdk/index.js";

const model = await loadModel();
after(() => model.close());
const { numLayers } = model.config;
const [budget, blockSize, numTokens] = [32, 8, 30];
const prompt = tasks.recall({ seed: 3, contextLength: 60 }).context;
const layers = Array.from({ length: numLayers }, (_, layer) => layer);

const makers = {
	inverseKeyNorm: policies.inverseKeyNorm,
	keyDiff: policies.keyDiff,
	tova: policies.tova,
	h2o: policies.h2o,
	random: policies.random,
	streamingLlm: policies.streamingLlm,
};
const byMean: Policy[] = Object.values(makers).flatMap((make) =>
	(["mean-score", "mean-rank"] as const).flatMap((shared) =>
		(["recycle", "mask", "compact"] as const).map((holes) =>
			make({ budget, granularity: "token", holes, scope: { shared } }),
		),
	),
);

function started(policy: Policy, more: object = {}): Session {
	const session = model.session({ blockSize, policy, seed: 5, ...more });
	session.prefillSync(prompt);
	return session;
}
const held = (session: Session) =>
	layers.map((layer) => session.layer(layer).blocks.flatMap((block) => [...block.positions]));

test("all layers drop the same token in every step, from the same slot, and stay at the budget", () => {
	for (const policy of byMean) {
		using session = started(policy);
		session.runSync({ maxTokens: numTokens, endTokens: [] });
		const [first, ...others] = held(session);
		assert.equal(first!.filter((position) => position >= 0).length, budget, JSON.stringify(policy));
		for (const other of others) assert.deepEqual(other, first, JSON.stringify(policy));
		const decode = [...session.trace.table("evictions")].filter((row) => row.phase === "decode");
		assert.equal(decode.length, numLayers * numTokens);
		for (let i = 0; i < decode.length; i += numLayers) {
			const rows = decode.slice(i, i + numLayers);
			assert.equal(new Set(rows.map((row) => `${[...row.positions]} ${row.slot_index} ${row.score}`)).size, 1);
		}
	}
});

test("a mean decides otherwise than layer 0, and otherwise than ranks", () => {
	const sets = (["layer-0", "mean-score", "mean-rank"] as const).map((shared) => {
		using session = started(policies.keyDiff({ budget, granularity: "token", scope: { shared } }));
		session.runSync({ maxTokens: numTokens, endTokens: [] });
		return String(held(session)[0]!.sort((a, b) => a - b));
	});
	assert.equal(new Set(sets).size, 3);
});

test("layer 0's stop shows the shared scores, and decides for all layers", () => {
	using session = started(policies.keyDiff({ budget, granularity: "token", scope: { shared: "mean-rank" } }));
	const breakpoint = session.breakOn("evict", ({ layer }) => layer === 0);
	const stop = session.runSync({ maxTokens: 4, endTokens: [] });
	const event = (stop as { event: EvictionStop }).event;
	assert.deepEqual([event.layer, event.shared, event.granularity], [0, true, "token"]);
	const scores = Array.from(event.candidateScores);
	const lowest = Math.min(...scores);
	assert.deepEqual([...event.positions], [event.candidates[scores.indexOf(lowest)]]);
	assert.equal(event.score, lowest);
	// Ranks from 0: no mean of them is above the number of candidates less one.
	assert.ok(scores.every((score) => score >= 0 && score <= scores.length - 1));
	const other = event.candidates.findIndex((position) => position !== event.positions[0]);
	event.replaceWith(event.candidates[other]!);
	breakpoint.remove();
	const { evictions } = session.stepSync();
	assert.deepEqual(
		evictions.map((row) => [row.layer, row.chosenBy, [...row.positions], row.score]),
		layers.map((layer) => [layer, "user", [event.candidates[other]!], scores[other]]),
	);
});

test("replay after rewind is bit-equal, a snapshot too, and a batch's sequence is what it is alone", async () => {
	using batch = model.batch({ blockSize, numBlocks: 24 });
	const shared = byMean.filter((_, i) => i % 2 === 0);
	const sequences = shared.map((policy) => batch.add(prompt, { policy, seed: 5, maxTokens: numTokens, endTokens: [] }));
	await batch.run();
	assert.ok(batch.summary.get(0)!.num_preemptions > 0);
	for (const [i, policy] of shared.entries()) {
		using session = started(policy, { history: 12 });
		session.runSync({ maxTokens: numTokens, endTokens: [] });
		const end = { logits: session.logits.toFloat32().slice(), held: held(session), tokens: session.tokens.slice() };
		session.rewind({ tokens: session.numTokens - 9 });
		session.runSync({ maxTokens: 9, endTokens: [] });
		const again = { logits: session.logits.toFloat32(), held: held(session), tokens: session.tokens };
		assert.deepEqual(again, end, JSON.stringify(policy));
		assert.deepEqual(sequences[i]!.tokens, end.tokens, JSON.stringify(policy));
		assert.deepEqual(sequences[i]!.logits.toFloat32(), end.logits);
	}
});

test("a fork takes up a shared scope of tokens only where its layers hold the same ones", () => {
	using apart = started(policies.keyDiff({ budget }), { forks: 2 });
	for (const shared of ["layer-0", "mean-rank"] as const) {
		const policy = policies.keyDiff({ budget, granularity: "token", scope: { shared } });
		assert.throws(() => apart.fork({ policy }), {
			code: "ERR_OCTAVO_POLICY",
			message: /same tokens in all layers for a shared scope with granularity token/,
		});
		using whole = started(policies.full(), { forks: 1 });
		using fork = whole.fork({ policy });
		fork.runSync({ maxTokens: 3, endTokens: [] });
		const [first, ...others] = held(fork);
		for (const other of others) assert.deepEqual(other, first);
		assert.equal(first!.length, budget);
	}
	apart.stepSync();
});
