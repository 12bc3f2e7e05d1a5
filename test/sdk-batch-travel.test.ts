// Time travel in a batch, through the SDK: a sequence that is snapshotted, rewound and forked beside others is, tables and
// all, what a session is that goes through the same.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import type { Batch } from "../sdk/decode/batch/batch.js";
import type { BatchSequence } from "../sdk/decode/batch/sequence.js";
import { custom, full, h2o, pagedEviction, streamingLlm, tova } from "../sdk/decode/policies/index.js";
import type { Policy } from "../sdk/decode/policies/policy.js";
import type { SessionView } from "../sdk/decode/session-view.js";
import { loadModel, type Model } from "../sdk/load-model.js";
import { recall } from "../sdk/model/tasks/recall.js";
import { compare } from "../sdk/trace/compare.js";
import { rowsOf } from "./helpers/trace-rows.js";

let model: Model;
before(async () => {
	model = await loadModel();
});

const blockSize = 8;
const sampling = { temperature: 1, topK: 40 };
const recorded = { sampling, endTokens: [], recordBlocks: true, recordLogits: true };
const prompt = (seed: number) => recall({ seed, contextLength: 60 }).context;
const scored = () => custom({ budget: 32, score: (block) => block.keys.data[0]! });

function assertSame(a: SessionView, b: SessionView): void {
	assert.deepEqual(a.tokens, b.tokens);
	assert.deepEqual(a.logits.data, b.logits.data);
	const byPools = ["block_id", "num_free_blocks", "num_parked_blocks", "freed"];
	assert.deepEqual(rowsOf(a.trace, byPools), rowsOf(b.trace, byPools));
}

// Until a sequence has so many tokens after its prompt.
async function runUntil(batch: Batch, sequence: BatchSequence, numTokens: number): Promise<void> {
	while (sequence.numTokens < sequence.numPromptTokens + numTokens) await batch.run({ maxSteps: 1 });
}

const policies: Policy[] = [
	full(),
	pagedEviction({ budget: 32 }),
	h2o({ budget: 24 }),
	tova({ budget: 24, granularity: "token", holes: "recycle" }),
	scored(),
];

for (const numBlocks of [20, 200]) {
	test(`a sequence rewound and forked is what a session is, ${numBlocks} blocks in the pools`, async () => {
		for (const policy of policies) {
			using batch = model.batch({ blockSize, numBlocks });
			const other = batch.add(prompt(9), { ...recorded, maxTokens: 60 });
			const sequence = batch.add(prompt(1), { ...recorded, policy, seed: 5, maxTokens: 44 });
			await runUntil(batch, sequence, 8);
			const snapshot = sequence.snapshot();
			assert.equal(snapshot.numTokens, 68);
			await runUntil(batch, sequence, 30);
			const fork = sequence.fork({ policy: streamingLlm({ budget: 24 }), seed: 3, maxTokens: 50 });
			const twin = sequence.fork();
			await batch.run({ maxSteps: 4 });
			sequence.rewind(snapshot);
			assert.ok(["running", "swapped"].includes(sequence.state), sequence.state);
			assert.equal(sequence.numTokens, 68);
			assert.equal(sequence.trace.table("steps").numRows, 9);
			await batch.run();

			using session = model.session({ blockSize, policy, seed: 5, recordLogits: true, forks: 2, numBlocks: 200 });
			session.prefillSync(prompt(1));
			const go = (maxTokens: number) => session.runSync({ maxTokens, sampling, endTokens: [] });
			go(8);
			const kept = session.snapshot();
			go(22);
			using forked = session.fork({ policy: streamingLlm({ budget: 24 }), seed: 3 });
			forked.runSync({ maxTokens: 20, sampling, endTokens: [] });
			session.rewind(kept);
			go(36);
			assertSame(sequence, session);
			assertSame(twin, session);
			assertSame(fork, forked);
			assert.equal(other.state, "finished");
			assert.deepEqual((await fork.result()).tokens.length, 50);
			assert.equal(fork.trace.metadata.policy, "streaming-llm");
			const { num_preemptions: preemptions } = batch.summary.get(0)!;
			assert.equal(preemptions > 0, numBlocks === 20, `${preemptions} preemptions`);
			const requests = batch.requests.toArray().map((row) => [row.parent_id, row.num_output_tokens]);
			assert.deepEqual(requests, [[null, 60], [null, 44], [1, 50], [1, 44]]); // biome-ignore format: a table
		}
	});
}

test("at a breakpoint: a fork comes to the same stop, a rewind to before it, a veto stays the parent's", async () => {
	using batch = model.batch({ blockSize, numBlocks: 200, policy: pagedEviction({ budget: 32 }), history: 20 });
	const [other, watched] = [1, 2].map((seed) => batch.add(prompt(seed), { ...recorded, maxTokens: 30 }));
	const condition = ({ phase, layer }: { phase: string; layer: number }) => phase === "decode" && layer === 2;
	watched!.breakOn("evict", condition);
	const stop = await batch.run();
	assert.ok(stop.reason === "breakpoint" && stop.event.kind === "evict");
	const fork = watched!.fork();
	fork.breakOn("evict", condition);
	stop.event.veto();
	const again = await batch.run();
	assert.ok(again.reason === "breakpoint" && again.event.kind === "evict" && again.sequence === fork);
	assert.deepEqual([again.event.stepIndex, again.event.positions], [stop.event.stepIndex, stop.event.positions]);
	assert.deepEqual([watched!.layer(2).kvLen, fork.layer(2).kvLen], [41, 40]); // one spared its block, and a step ahead
	watched!.rewind({ before: stop.event });
	assert.throws(() => (stop.event.kind === "evict" ? stop.event.veto() : 0), { code: "ERR_OCTAVO_BREAKPOINT" });
	for (let result = await batch.run(); result.reason !== "done"; result = await batch.run());
	assertSame(fork, watched!);
	using session = model.session({ blockSize, policy: pagedEviction({ budget: 32 }), seed: 0, recordLogits: true });
	session.prefillSync(prompt(1));
	session.runSync({ maxTokens: 30, sampling, endTokens: [] });
	assertSame(other!, session);
});

test("a sequence that ended goes on from its snapshot, as do loops and results; forks compare with it", async () => {
	using batch = model.batch({ blockSize, numBlocks: 200, seed: 4 });
	const sequence = batch.add(prompt(3), { ...recorded, maxTokens: 20 });
	await runUntil(batch, sequence, 5);
	using snapshot = sequence.snapshot();
	const { tokens } = await sequence.result();
	assert.throws(() => sequence.fork(), { code: "ERR_OCTAVO_BATCH", message: /is finished; rewind it to a snapshot/ });
	sequence.rewind(snapshot);
	assert.equal(sequence.ended, false);
	const fork = sequence.fork({ policy: streamingLlm({ budget: 24 }) });
	const seen: number[] = [];
	for await (const { index } of sequence.steps()) seen.push(index);
	assert.deepEqual(
		seen,
		Array.from({ length: 15 }, (_, i) => i + 6),
	);
	assert.deepEqual((await sequence.result()).tokens, tokens);
	await fork.result();
	const { table } = compare([sequence, fork]);
	const divergence = Array.from(table.getChild("kl_divergence")!) as number[];
	assert.equal(Math.max(...divergence.slice(0, 6)), 0);
	assert.ok(Math.max(...divergence) > 0);
});

test("before its prompt it waits again, from the middle and from its end, and comes to the same trace", async () => {
	using batch = model.batch({ blockSize, numBlocks: 200, seed: 4 });
	const sequence = batch.add(prompt(3), { ...recorded, policy: pagedEviction({ budget: 32 }), maxTokens: 20 });
	const other = batch.add(prompt(2), { ...recorded, maxTokens: 20 });
	await runUntil(batch, sequence, 5);
	using snapshot = sequence.snapshot();
	sequence.rewind({ tokens: 0 });
	assert.deepEqual([sequence.state, sequence.numTokens, sequence.trace.table("steps").numRows], ["waiting", 0, 0]);
	const indices: number[] = [];
	for await (const { index } of sequence.steps()) indices.push(index);
	const { tokens } = await sequence.result();
	using session = model.session({ blockSize, policy: pagedEviction({ budget: 32 }), seed: 4, recordLogits: true });
	session.prefillSync(prompt(3));
	session.runSync({ maxTokens: 20, sampling, endTokens: [] });
	assertSame(sequence, session);
	assert.deepEqual(
		indices,
		Array.from({ length: 21 }, (_, i) => i),
	);
	sequence.rewind({ tokens: 0 });
	assert.equal(sequence.ended, false);
	assert.deepEqual((await sequence.result()).tokens, tokens);
	assertSame(sequence, session);
	sequence.rewind(snapshot);
	assert.equal(sequence.numTokens, 60 + 5);
	assert.deepEqual((await sequence.result()).tokens, tokens);
	assert.equal((await other.result()).state, "finished");
	assert.equal(batch.requests.get(0)!.num_output_tokens, 20);
});

test("a policy whose function throws is taken back to before that", async () => {
	using batch = model.batch({ blockSize, numBlocks: 200 });
	let broken = false;
	const policy = custom({
		budget: 32,
		score(block) {
			if (broken) throw new RangeError("no such head");
			return block.keys.data[0]!;
		},
	});
	const sequence = batch.add(prompt(1), { ...recorded, policy, maxTokens: 30 });
	await runUntil(batch, sequence, 10);
	const snapshot = sequence.snapshot();
	broken = true;
	assert.equal((await sequence.result()).state, "failed");
	broken = false;
	sequence.rewind(snapshot);
	assert.deepEqual([sequence.state, sequence.error], ["running", undefined]);
	assert.equal((await sequence.result()).state, "finished");
	using session = model.session({ blockSize, policy: scored(), recordLogits: true });
	session.prefillSync(prompt(1));
	session.runSync({ maxTokens: 30, sampling, endTokens: [] });
	assertSame(sequence, session);
});

test("what cannot be done is named, and changes nothing", async () => {
	const code = (expected: string, call: () => unknown) => assert.throws(call, { code: expected });
	const batch = model.batch({ blockSize, numBlocks: 200, maxSequences: 1 });
	const [sequence, waiting] = [1, 2].map((seed) => batch.add(prompt(seed), { ...recorded, maxTokens: 300 }));
	code("ERR_OCTAVO_PREFILL", () => sequence!.snapshot());
	await batch.run({ maxSteps: 4 });
	code("ERR_OCTAVO_PREFILL", () => waiting!.fork());
	code("ERR_OCTAVO_PREFILL", () => waiting!.rewind({ tokens: 3 }));
	code("ERR_OCTAVO_HISTORY", () => sequence!.rewind({ tokens: 61 }));
	code("ERR_OCTAVO_OPTION", () => sequence!.rewind({ token: 61 } as never));
	code("ERR_OCTAVO_OPTION", () => sequence!.fork({ maxToken: 3 } as never));
	code("ERR_OCTAVO_OPTION", () => sequence!.fork({ policy: "full" as never }));
	code("ERR_OCTAVO_BUDGET", () => sequence!.fork({ policy: pagedEviction({ budget: 20 }) }));
	code("ERR_OCTAVO_ARGUMENT", () => sequence!.fork({ maxTokens: 4 }));
	code("ERR_OCTAVO_POSITION", () => sequence!.fork({ maxTokens: 1e6 }));
	code("ERR_OCTAVO_TOKEN", () => sequence!.fork({ endTokens: [1.5] }));
	const snapshot = sequence!.snapshot();
	code("ERR_OCTAVO_SNAPSHOT", () => waiting!.rewind(snapshot));
	const running = batch.run({ maxSteps: 100 });
	code("ERR_OCTAVO_BUSY", () => sequence!.snapshot());
	code("ERR_OCTAVO_BUSY", () => sequence!.rewind(snapshot));
	code("ERR_OCTAVO_BUSY", () => sequence!.fork());
	await running;
	snapshot.release();
	code("ERR_OCTAVO_SNAPSHOT", () => sequence!.rewind(snapshot));
	assert.equal(batch.sequences.length, 2);
	assert.equal(sequence!.numTokens, 60 + 4 + 100);
	batch.close();
	code("ERR_OCTAVO_CLOSED", () => sequence!.snapshot());
	code("ERR_OCTAVO_CLOSED", () => sequence!.fork());
});
