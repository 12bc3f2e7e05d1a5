// A batch through the SDK: every sequence is what it is alone in a session; loops, breakpoints, interrupts and failures of
// one leave the others what they are; the tables say what happened.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { Batch } from "../sdk/decode/batch/batch.js";
import type { AddOptions } from "../sdk/decode/batch/options.js";
import type { BatchSequence } from "../sdk/decode/batch/sequence.js";
import {
	custom,
	full,
	h2o,
	inverseKeyNorm,
	keyDiff,
	pagedEviction,
	random,
	snapKv,
	streamingLlm,
	tova,
} from "../sdk/decode/policies/index.js";
import { loadModel, type Model } from "../sdk/load-model.js";
import { recall } from "../sdk/model/tasks/recall.js";
import { batchSchema } from "../sdk/trace/batch-schema.js";
import { rowsOf } from "./helpers/trace-rows.js";

let model: Model;
before(async () => {
	model = await loadModel();
});

const blockSize = 8;
const sampling = { temperature: 1, topK: 40 };
const prompt = (seed: number, contextLength = 60) => recall({ seed, contextLength }).context;

const recorded = { endTokens: [], recordBlocks: true, recordLogits: true };

function assertAsAlone(sequence: BatchSequence, given: ReturnType<typeof prompt>, options: AddOptions): void {
	const { policy = full(), seed = 0, maxTokens = 256 } = options;
	using session = model.session({ blockSize, policy, seed, recordLogits: true });
	session.prefillSync(given);
	const { sampling: chosen } = options;
	session.runSync({ maxTokens, endTokens: [], ...(chosen ? { sampling: chosen } : {}) });
	assert.deepEqual(sequence.tokens, session.tokens);
	assert.deepEqual(sequence.logits.data, session.logits.data);
	const byPools = ["block_id", "num_free_blocks"]; // depend on who else is there
	assert.deepEqual(rowsOf(sequence.trace, byPools), rowsOf(session.trace, byPools));
}

const scored = custom({ budget: 32, score: (block) => block.keys.data[0]! });
const policies = [full(), pagedEviction({ budget: 32 }), h2o({ budget: 24 }), keyDiff({ budget: 40 }), scored];
const more = [random({ budget: 32 }), snapKv({ budget: 32 })];
const byToken = [
	tova({ budget: 24, granularity: "token", holes: "recycle" }),
	h2o({ budget: 24, granularity: "token", holes: "mask" }),
	keyDiff({ budget: 24, granularity: "token", holes: "compact" }),
	streamingLlm({ budget: 24, granularity: "token" }),
	h2o({ budget: 24, granularity: "token", heads: "per-head" }),
	inverseKeyNorm({ budget: 24, skipLayers: [0] }),
	pagedEviction({ budget: 24, scope: { shared: "mean-rank" } }),
	pagedEviction({ budget: 32, prefillAttention: "evicted" }),
];

test("sequences of all kinds of policies, swapped out on the way, are what they are alone", async () => {
	using batch = model.batch({ blockSize, numBlocks: 22 });
	const all = [...policies, ...more, ...byToken].map((policy, i) => {
		const options = { ...recorded, policy, sampling, seed: 70 + i, maxTokens: 20 + 3 * (i % 7) };
		const given = prompt(i, 40 + 7 * (i % 7));
		return { options, given, sequence: batch.add(given, options) };
	});
	assert.deepEqual(await batch.run(), { reason: "done", numSteps: batch.throughput.numRows });
	for (const { sequence, given, options } of all) {
		assert.equal(sequence.state, "finished");
		assertAsAlone(sequence, given, options);
	}
	const { num_preemptions: preemptions, num_output_tokens: tokens } = batch.summary.get(0)!;
	assert.ok(preemptions > 0, `${preemptions} preemptions`);
	assert.equal(
		tokens,
		all.reduce((sum, { options }) => sum + options.maxTokens, 0),
	);
});

test("defaults are the batch's and the model's, and each sequence has a seed of its own", async () => {
	using batch = model.batch({ blockSize, numBlocks: 200, policy: pagedEviction({ budget: 32 }), seed: 5 });
	const given = prompt(3);
	const [a, b] = [batch.add(given, { sampling, maxTokens: 30 }), batch.add(given, { sampling, maxTokens: 30 })];
	const answer = batch.add(given, { maxTokens: 100, policy: full() });
	await batch.run();
	assert.notDeepEqual(a.tokens, b.tokens);
	assert.equal(a.policy.name, "paged-eviction");
	assert.deepEqual(
		[a, b].map(({ trace }) => trace.metadata.seed),
		[5, 6],
	);
	assert.equal(a.trace.table("blocks").numRows, 0);
	using session = model.session({ blockSize });
	session.prefillSync(given);
	session.runSync({ maxTokens: 100 });
	assert.deepEqual(answer.tokens, session.tokens);
});

test("loops over sequences and over the batch share its steps, and can be left and gone on with", async () => {
	using batch = model.batch({ blockSize, numBlocks: 200 });
	const [a, b] = [1, 2].map((seed) => batch.add(prompt(seed), { maxTokens: 12, endTokens: [] })) as [
		BatchSequence,
		BatchSequence,
	];
	const seen: number[] = [];
	for await (const step of a.steps()) {
		seen.push(step.index);
		if (step.index === 3) break;
	}
	const rest = async (sequence: BatchSequence) => {
		for await (const step of sequence.steps()) if (sequence === a) seen.push(step.index);
	};
	const counted = (async () => {
		let count = 0;
		for await (const row of batch.steps()) count += row.num_output_tokens;
		return count;
	})();
	const [, , count, { tokens, state }] = await Promise.all([rest(a), rest(b), counted, b.result()]);
	assert.deepEqual(
		seen,
		Array.from({ length: 13 }, (_, i) => i),
	);
	assert.ok(count >= 2 * 8 && count <= 2 * 10, `${count} tokens after the first loop`);
	assert.deepEqual([tokens.length, state], [12, "finished"]);
	assert.deepEqual(tokens, b.tokens.subarray(b.numPromptTokens));
});

test("sequences come, and are cancelled, while the batch runs", async () => {
	using batch = model.batch({ blockSize, numBlocks: 1100 });
	const endless = batch.add(prompt(1), { maxTokens: 960, endTokens: [] });
	for (let i = 0; i < 7; i++) batch.add(prompt(1), { maxTokens: 960, endTokens: [] });
	const running = batch.run();
	// In this turn still: the first step may be done in the next.
	assert.equal(endless.state, "waiting");
	assert.throws(() => endless.layer(0), { code: "ERR_OCTAVO_BUSY" });
	assert.equal(endless.trace.table("steps").numRows, 0);
	assert.throws(() => batch.close(), { code: "ERR_OCTAVO_BUSY" });
	const options = { ...recorded, maxTokens: 9 };
	const late = batch.add(prompt(2), options);
	assert.equal((await late.result()).state, "finished");
	for (const sequence of [...batch.sequences, endless]) if (sequence !== late) sequence.cancel();
	assert.equal((await running).reason, "done");
	assert.equal(endless.state, "cancelled");
	assert.ok(endless.tokens.length < 60 + 960);
	assertAsAlone(late, prompt(2), { ...options, seed: 8 });
	assert.equal(late.layer(0).blocks.length, 0);
	await batch.add(prompt(3), { maxTokens: 1 }).result();
	assert.equal(batch.throughput.getChild("num_free_blocks")!.at(-1), 1100);
});

test("an interrupt, by a signal or the notebook's, leaves the batch able to go on", async () => {
	using batch = model.batch({ blockSize, numBlocks: 200 });
	// More than a busy machine decodes in a turn of this thread.
	const options = { ...recorded, maxTokens: 600 };
	const sequence = batch.add(prompt(4), options);
	const reason = new Error("enough");
	await assert.rejects(batch.run({ signal: AbortSignal.abort(reason) }), reason);
	const controller = new AbortController();
	const aborted = assert.rejects(batch.run({ signal: controller.signal }), reason);
	await setImmediate();
	controller.abort(reason);
	await aborted;
	const interrupt = Symbol.for("octavo.interrupt");
	const cell = new AbortController();
	Reflect.set(globalThis, interrupt, cell.signal);
	try {
		const interrupted = assert.rejects(sequence.result(), reason);
		await setImmediate();
		cell.abort(reason);
		await interrupted;
	} finally {
		Reflect.deleteProperty(globalThis, interrupt);
	}
	assert.ok(!sequence.ended);
	await batch.run();
	assertAsAlone(sequence, prompt(4), options);
});

test("a breakpoint stops the batch inside a step of one sequence, where it can be looked at and decided on", async () => {
	using batch = model.batch({ blockSize, numBlocks: 200 });
	const policy = pagedEviction({ budget: 32 });
	const options = { ...recorded, policy, maxTokens: 30 };
	const [other, watched] = [batch.add(prompt(1), options), batch.add(prompt(2), options)];
	const breakpoint = watched.breakOn("evict", ({ phase, layer }) => phase === "decode" && layer === 2);
	const stop = await batch.run();
	assert.ok(stop.reason === "breakpoint" && stop.event.kind === "evict");
	assert.deepEqual([stop.sequence, stop.breakpoint], [watched, breakpoint]);
	assert.equal(watched.stoppedAt, stop.event);
	assert.equal(watched.layer(2).block(stop.event.logicalIndex!).blockId, stop.event.blockId);
	assert.equal(watched.layer(2).kvLen, 40);
	stop.event.veto();
	breakpoint.remove();
	assert.equal((await batch.run({ maxSteps: 1 })).reason, "max-steps");
	assert.deepEqual([watched.layer(1).kvLen, watched.layer(2).kvLen], [32, 40]);
	assert.throws(() => (stop.event.kind === "evict" ? stop.event.veto() : undefined), { code: "ERR_OCTAVO_BREAKPOINT" });
	await batch.run();
	assertAsAlone(other, prompt(1), options);
	assert.throws(() => other.breakOn("token" as never), { code: "ERR_OCTAVO_BREAKPOINT" });
	assert.throws(() => other.breakOn("evcit" as never), {
		code: "ERR_OCTAVO_BREAKPOINT",
		message: /did you mean evict/,
	});
});

test("what one sequence fails with is its own", async () => {
	using batch = model.batch({ blockSize, numBlocks: 16 });
	const thrown = new RangeError("no such head");
	let calls = 0;
	const throwing = custom({
		budget: 32,
		score() {
			if (calls++ === 5) throw thrown;
			return 1;
		},
	});
	const sound = { ...recorded, policy: pagedEviction({ budget: 24 }), maxTokens: 60 };
	const [broken, good] = [batch.add(prompt(1, 30), { policy: throwing, endTokens: [] }), batch.add(prompt(2), sound)];
	const greedy = batch.add(prompt(3, 30), { maxTokens: 300, endTokens: [] });
	assert.equal((await batch.run()).reason, "done");
	assert.deepEqual([broken.state, broken.error], ["failed", thrown]);
	assert.deepEqual(await broken.result(), { state: "failed", tokens: broken.tokens.subarray(30), error: thrown });
	assert.equal((greedy.error as { code?: string }).code, "ERR_OCTAVO_POOL_EXHAUSTED");
	assert.deepEqual(batch.requests.getChild("error")!.toJSON(), ["RangeError", null, "ERR_OCTAVO_POOL_EXHAUSTED"]);
	assertAsAlone(good, prompt(2), { ...sound, seed: 1 });
});

test("bad input is named at once, and queues nothing", async () => {
	const code = (expected: string, call: () => unknown) => assert.throws(call, { code: expected });
	code("ERR_OCTAVO_OPTION", () => model.batch({ numBlock: 3 } as never));
	code("ERR_OCTAVO_OPTION", () => model.batch({ watermark: 2 }));
	code("ERR_OCTAVO_OPTION", () => model.batch({ policy: "full" as never }));
	code("ERR_OCTAVO_BUDGET", () => model.batch({ blockSize: 16, policy: pagedEviction({ budget: 40 }) }));
	const batch = model.batch({ blockSize, numBlocks: 6 });
	code("ERR_OCTAVO_POOL_EXHAUSTED", () => batch.add(prompt(1, 60)));
	code("ERR_OCTAVO_TOKEN", () => batch.add([1, 99_999]));
	code("ERR_OCTAVO_TOKEN", () => batch.add([]));
	code("ERR_OCTAVO_POSITION", () => batch.add([1, 2], { maxTokens: 1e6 }));
	code("ERR_OCTAVO_BUDGET", () => batch.add([1, 2], { policy: pagedEviction({ budget: 20 }) }));
	code("ERR_OCTAVO_OPTION", () => batch.add([1, 2], { arrival: -1 }));
	code("ERR_OCTAVO_OPTION", () => batch.add([1, 2], { priority: 0.5 }));
	code("ERR_OCTAVO_OPTION", () => batch.add([1, 2], { maxToken: 3 } as never));
	await assert.rejects(batch.run({ onProgress: 3 as never }), { code: "ERR_OCTAVO_OPTION" });
	assert.deepEqual(await batch.run(), { reason: "done", numSteps: 0 });
	assert.equal(batch.requests.numRows, 0);
	// An evicted prompt of that length fits.
	batch.add(prompt(1, 60), { policy: pagedEviction({ budget: 24 }), maxTokens: 1 });
	await batch.run();
	batch.close();
	batch.close();
	assert.equal(batch.sequences[0]!.state, "finished");
	assert.equal(batch.requests.numRows, 1);
	code("ERR_OCTAVO_CLOSED", () => batch.add([1]));
	await assert.rejects(batch.run(), { code: "ERR_OCTAVO_CLOSED" });
});

test("a lower priority is let in first", async () => {
	using batch = model.batch({ blockSize, numBlocks: 100, maxSequences: 1 });
	for (const priority of [0, 5, -5, 0]) batch.add(prompt(1), { priority, maxTokens: 2, endTokens: [] });
	await batch.run();
	const admitted = Array.from(batch.requests.getChild("admitted_us")!) as number[];
	const order = [0, 1, 2, 3].sort((a, b) => admitted[a]! - admitted[b]!);
	assert.deepEqual(order, [2, 0, 3, 1]);
	assert.deepEqual(batch.requests.getChild("priority")!.toArray(), Int32Array.of(0, 5, -5, 0));
});

test("a sequence waits for its arrival, and a batch that waits can be interrupted", async () => {
	using batch = model.batch({ blockSize, numBlocks: 100 });
	const never = batch.add(prompt(1), { arrival: 1e9, maxTokens: 3 });
	const soon = batch.add(prompt(2), { arrival: 60, maxTokens: 3, endTokens: [] });
	assert.equal((await soon.result()).state, "finished");
	const row = batch.requests.get(1)!;
	assert.ok(row.admitted_us >= 60e3 && row.ttft_us === row.first_token_us - row.arrival_us);
	await assert.rejects(batch.run({ signal: AbortSignal.timeout(50) }), { name: "TimeoutError" });
	assert.equal(never.state, "waiting");
});

// Sums that must agree between the tables.
function assertTablesAgree(batch: Batch): void {
	const column = (name: "requests" | "throughput", of: string) =>
		Array.from(batch[name].getChild(of)!) as (number | null)[];
	const total = (values: (number | null)[]) => values.reduce<number>((sum, value) => sum + (value ?? 0), 0);
	const numOutput = total(column("requests", "num_output_tokens"));
	assert.equal(total(column("throughput", "num_output_tokens")), numOutput);
	assert.equal(total(column("throughput", "num_prompt_tokens")), total(column("requests", "num_prompt_tokens")));
	assert.equal(total(column("throughput", "num_preempted")), total(column("requests", "num_preemptions")));
	assert.equal(total(column("throughput", "num_ended")), batch.requests.numRows);
	const parts = ["swap_us", "prefill_us", "products_us", "attention_us", "cache_us", "sample_us"];
	for (const row of batch.throughput) {
		const known = parts.reduce((sum, name) => sum + row[name], 0);
		assert.ok(known <= row.total_us * 1.001 && known > 0, `${known} of ${row.total_us} µs`);
	}
	const summary = batch.summary.get(0)!;
	const wallUs = total(column("throughput", "total_us"));
	assert.ok(Math.abs(summary.output_tokens_per_s - (numOutput / wallUs) * 1e6) < 1e-6);
	const sorted = (column("requests", "ttft_us") as number[]).sort((a, b) => a - b);
	assert.equal(summary.ttft_median_us, sorted.length % 2 ? sorted[sorted.length >> 1] : (sorted[2]! + sorted[3]!) / 2);
	assert.equal(summary.ttft_p95_us, sorted.at(-1));
}

test("the tables agree with each other, and name the columns that the engine records", async () => {
	using batch = model.batch({ blockSize, numBlocks: 22, maxSequences: 4 });
	for (let i = 0; i < 6; i++) batch.add(prompt(i, 40), { maxTokens: 30, endTokens: [] });
	const seen: string[] = [];
	await batch.run({ onProgress: (progress) => seen.push(String(progress)) });
	assertTablesAgree(batch);
	assert.match(seen.at(-1)!, /^6 of 6 sequences ended, 0 running, 0 waiting; 180 tokens, [\d.]+ tokens\/s$/);
	for (const name of ["requests", "throughput", "summary"] as const) {
		assert.deepEqual(
			batch[name].schema.fields.map((field) => field.name),
			Object.keys(batchSchema[name]),
		);
	}
	const atOnce = Array.from(batch.throughput.getChild("num_output_tokens")!) as number[];
	assert.ok(Math.max(...atOnce) <= 4);
	assert.ok(batch.summary.get(0)!.least_free_blocks < 3);
});
