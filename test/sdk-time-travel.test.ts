// Going back: what is replayed after a rewind is bit-equal; forks share blocks and go their own ways; decisions at an
// eviction; patterns are the softmax that attention takes.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import type { AdvanceRequest, AdvanceResult } from "../native/addon.js";
import { full, h2o, keyDiff, pagedEviction, random, snapKv, streamingLlm, tova } from "../sdk/decode/policies/index.js";
import { completeSteps, type RunContext } from "../sdk/decode/run.js";
import type { Session } from "../sdk/decode/session.js";
import { loadModel, type Model } from "../sdk/load-model.js";
import { recall } from "../sdk/model/tasks/recall.js";
import { rowsOf } from "./helpers/trace-rows.js";

const prompt = recall({ seed: 5, contextLength: 100 }).context;
const sampling = { temperature: 1, topK: 40 };
let model: Model;
before(async () => {
	model = await loadModel();
});

const options = { blockSize: 8, seed: 7, recordLogits: true };
const stateOf = (session: Session) => ({
	tokens: Array.from(session.tokens),
	logits: Array.from(session.logits.data),
	tables: [0, 1, 2, 3].map((i) =>
		session.layer(i).blocks.map(({ blockId, filled, positions }) => [blockId, filled, [...positions]]),
	),
	trace: rowsOf(session.trace),
});

const evicting = [pagedEviction, streamingLlm, random, keyDiff, tova, h2o].map((make) => make({ budget: 32 }));
for (const policy of [...evicting, snapKv({ budget: 32 }), full()]) {
	test(`${policy.name}: replay after a rewind is bit-equal, to a snapshot and by history`, async () => {
		const session = model.session({ ...options, policy, history: 60, forks: 1 });
		session.prefillSync(prompt);
		session.runSync({ maxTokens: 11, sampling });
		const snapshot = session.snapshot();
		const there = stateOf(session);
		session.runSync({ maxTokens: 40, sampling });
		const end = stateOf(session);
		const numEvictions = session.trace.table("evictions").numRows;
		if (evicting.includes(policy)) {
			assert.ok(session.layer(0).numParkedBlocks >= 4, "evicted blocks are parked");
			const table = session.trace.table("memory");
			assert.ok(Math.max(...(table.getChild("num_parked_blocks")!.toArray() as Int32Array)) >= 4, "and recorded");
		}
		session.rewind(snapshot);
		assert.deepEqual(stateOf(session), there);
		session.runSync({ maxTokens: 40, sampling });
		assert.deepEqual(stateOf(session), end);
		session.rewind({ tokens: 100 + 11 });
		assert.deepEqual(stateOf(session), there);
		for await (const _ of session.steps({ maxTokens: 40, sampling }));
		assert.deepEqual(stateOf(session), end);
		assert.equal(session.trace.table("evictions").numRows, numEvictions);
		// Forth again, from another line, by a snapshot of the end.
		const last = session.snapshot();
		session.rewind({ tokens: 100 });
		session.feedSync([3, 4, 5]);
		session.rewind(last);
		assert.deepEqual(stateOf(session), end);
		session.rewind({ tokens: 0 });
		assert.equal(session.trace.table("steps").numRows, 0);
		snapshot.release();
		last.release();
		assert.equal(session.layer(0).numFreeBlocks, session.trace.metadata.numBlocks, "all blocks are free again");
		session.prefillSync(prompt);
		session.runSync({ maxTokens: 51, sampling });
		assert.deepEqual(stateOf(session), end);
	});
}

test("rewinding before an eviction brings the block back", () => {
	const session = model.session({ ...options, policy: pagedEviction({ budget: 32 }), history: 20 });
	session.prefillSync(prompt);
	session.breakOn("evict", (event) => event.layer === 2);
	const stop = session.runSync({ maxTokens: 20 });
	assert.ok(stop.reason === "breakpoint" && stop.event.kind === "evict");
	const { event } = stop;
	const keys = session.layer(2).block(event.logicalIndex!).keys.copy().data;
	const tables = stateOf(session).tables[3];
	session.stepSync();
	assert.ok(!session.layer(2).blocks.some((block) => block.blockId === event.blockId));
	assert.equal(session.layer(2).numParkedBlocks, 1);
	session.rewind({ before: event });
	assert.equal(session.layer(2).numParkedBlocks, 0);
	const block = session.layer(2).blocks.find((each) => each.blockId === event.blockId)!;
	assert.deepEqual(block.keys.data, keys);
	assert.deepEqual(stateOf(session).tables[3], tables);
	const again = session.runSync({ maxTokens: 20 });
	assert.ok(again.reason === "breakpoint" && again.event.kind === "evict");
	const plain = ({ veto: _v, replaceWith: _r, ...rest }: typeof event) => rest;
	assert.deepEqual(plain(again.event), plain(event));
	session.rewind({ before: again.event }); // the step under way only
	assert.equal(session.numTokens, 100 + event.stepIndex - 1);
});

test("forks share blocks, copy one partial block a layer, and equal sessions of their own", () => {
	const session = model.session({ ...options, policy: full(), forks: 2 });
	session.prefillSync(prompt); // 100 tokens: the newest block is partial
	const free = session.layer(1).numFreeBlocks;
	const same = session.fork();
	assert.equal(session.layer(1).numFreeBlocks, free);
	const other = session.fork({ seed: 8, policy: streamingLlm({ budget: 48 }) });
	assert.equal(session.layer(1).block(0).refCount, 3);
	for (const each of [session, same, other]) each.runSync({ maxTokens: 3, sampling });
	assert.equal(session.layer(1).numFreeBlocks, free - 2, "the first to write goes on in place");
	for (const each of [session, same, other]) each.runSync({ maxTokens: 30, sampling });
	assert.deepEqual(same.tokens, session.tokens);
	assert.deepEqual(same.logits.data, session.logits.data);
	assert.notDeepEqual(other.tokens, session.tokens);
	const alone = model.session({ ...options, policy: full() });
	alone.prefillSync(prompt);
	alone.runSync({ maxTokens: 33, sampling });
	const placement = ["block_id", "num_free_blocks", "num_parked_blocks", "freed"];
	assert.deepEqual(rowsOf(same.trace, placement), rowsOf(alone.trace, placement));
	assert.deepEqual(rowsOf(session.trace, placement), rowsOf(alone.trace, placement));
	// The fork's own policy cuts what it took over down to its budget, and its trace goes on from the parent's.
	assert.ok(other.layer(0).kvLen < 48 + 8);
	assert.equal(other.trace.metadata.policy, "streaming-llm");
	assert.deepEqual(
		other.trace.table("steps").getChild("step_index")!.toArray(),
		Int32Array.from({ length: 34 }, (_, i) => i),
	);
	session.close();
	same.runSync({ maxTokens: 5, sampling });
	for (const each of [same, other]) each.close();
});

test("a fork may change to any policy, which cuts what it took over", () => {
	const session = model.session({ ...options, policy: full(), forks: evicting.length });
	session.prefillSync(prompt);
	for (const policy of evicting) {
		const fork = session.fork({ policy });
		fork.runSync({ maxTokens: 30, sampling });
		for (const layer of [0, 1, 2, 3]) assert.ok(fork.layer(layer).kvLen < 32 + 8, policy.name);
		fork.close();
	}
	assert.equal(session.layer(0).kvLen, 100);
});

test("forks decode at the same time on threads of their own", async () => {
	const session = model.session({ ...options, policy: pagedEviction({ budget: 32 }), forks: 4 });
	await session.prefill(prompt);
	const forks = [1, 2, 3, 4].map((seed) => session.fork({ seed }));
	await Promise.all(forks.map((fork) => fork.run({ maxTokens: 60, sampling })));
	for (const [i, fork] of forks.entries()) {
		const alone = model.session({ ...options, policy: pagedEviction({ budget: 32 }), seed: i + 1 });
		alone.prefillSync(prompt);
		alone.runSync({ maxTokens: 60, sampling });
		assert.deepEqual(fork.tokens, alone.tokens);
		assert.deepEqual(fork.logits.data, alone.logits.data);
		fork.close();
	}
});

test("an eviction can be vetoed or aimed at another block", () => {
	const open = () => {
		const session = model.session({ ...options, policy: pagedEviction({ budget: 32 }), forks: 1 });
		session.prefillSync(prompt);
		const breakpoint = session.breakOn("evict", (event) => event.layer === 1);
		const stop = session.runSync({ maxTokens: 30 });
		breakpoint.remove();
		assert.ok(stop.reason === "breakpoint" && stop.event.kind === "evict");
		return { session, event: stop.event };
	};
	const vetoed = open();
	vetoed.event.veto();
	vetoed.session.stepSync();
	assert.equal(vetoed.session.layer(1).kvLen, 40);
	assert.equal(vetoed.session.layer(0).kvLen, 32);
	assert.throws(() => vetoed.event.veto(), { code: "ERR_OCTAVO_BREAKPOINT" });
	vetoed.session.runSync({ maxTokens: 8 });
	assert.equal(vetoed.session.layer(1).kvLen, 32, "the next full block brings it back to its budget");

	const replaced = open();
	const { logicalIndex } = replaced.event;
	const chosen = logicalIndex === 2 ? 1 : 2;
	const { blockId } = replaced.session.layer(1).block(chosen);
	for (const wrong of [-1, 4, 1.5, Number.NaN, 1000]) {
		assert.throws(() => replaced.event.replaceWith(wrong), { code: "ERR_OCTAVO_ARGUMENT" });
	}
	replaced.event.replaceWith(chosen);
	const { evictions } = replaced.session.stepSync();
	const row = evictions.find((eviction) => eviction.layer === 1)!;
	assert.deepEqual([row.logicalIndex, row.blockId, row.chosenBy], [chosen, blockId, "user"]);
	assert.equal(row.score, row.candidateScores[row.candidates.indexOf(chosen)]);
	assert.equal(row.runnerUpScore, Math.min(...row.candidateScores.filter((_, i) => row.candidates[i] !== chosen)));
	assert.ok(replaced.session.layer(1).blocks.some((b) => b.positions[0] === replaced.event.positions[0]));
	assert.equal(evictions.find((eviction) => eviction.layer === 0)!.chosenBy, "policy");

	// A breakpoint's condition may decide, and let the run go on.
	const session = model.session({ ...options, policy: pagedEviction({ budget: 32 }), numBlocks: 30 });
	session.prefillSync(prompt);
	session.breakOn("evict", (event) => {
		if (event.layer === 3) event.veto();
		return false;
	});
	assert.equal(session.runSync({ maxTokens: 40 }).reason, "max-tokens");
	assert.deepEqual([session.layer(3).kvLen, session.layer(2).kvLen], [72, 32]);
});

test("layer breakpoints stop after each layer", () => {
	const session = model.session(options);
	session.prefillSync(prompt);
	session.breakOn("layer", (event) => event.layer % 2 === 1);
	const layers = [];
	for (let i = 0; i < 4; i++) {
		const stop = session.runSync({ maxTokens: 8 });
		if (stop.reason === "breakpoint" && stop.event.kind === "layer")
			layers.push([stop.event.stepIndex, stop.event.layer]);
	}
	assert.deepEqual(layers, [
		[1, 1],
		[1, 3],
		[2, 1],
		[2, 3],
	]);
	const fresh = model.session(options);
	fresh.prefillSync(prompt);
	session.stepSync();
	fresh.stepSync();
	fresh.stepSync();
	assert.deepEqual(rowsOf(session.trace), rowsOf(fresh.trace));
});

test("what cannot be gone back to is refused, and nothing is lost", () => {
	const session = model.session({ ...options, history: 3, forks: 1 });
	session.prefillSync(prompt);
	session.runSync({ maxTokens: 10 });
	assert.deepEqual(Array.from(session.rewindPoints), [107, 108, 109, 110]);
	const there = stateOf(session);
	const snapshot = session.snapshot();
	const fork = session.fork();
	snapshot.release();
	for (const [to, code] of [
		[{ tokens: 106 }, "HISTORY"],
		[{ tokens: 111 }, "HISTORY"],
		[{ tokens: 50 }, "HISTORY"],
		[snapshot, "SNAPSHOT"],
		[fork.snapshot(), "SNAPSHOT"],
		[{ tokens: -1 }, "OPTION"],
		[{ token: 3 }, "OPTION"],
		[{ before: 3 }, "OPTION"],
		[{}, "OPTION"],
	] as const) {
		assert.throws(() => session.rewind(to as never), { code: `ERR_OCTAVO_${code}` });
	}
	assert.throws(() => session.fork({ policy: pagedEviction({ budget: 20 }) }), { code: "ERR_OCTAVO_BUDGET" });
	assert.throws(() => session.fork({ sed: 1 } as never), /did you mean seed/);
	assert.deepEqual(stateOf(session), there);
	fork.close();
	session.close();
	assert.throws(() => session.rewind({ tokens: 100 }), { code: "ERR_OCTAVO_CLOSED" });
	assert.throws(() => session.fork(), { code: "ERR_OCTAVO_CLOSED" });
});

test("history makes way when a pool runs out", () => {
	const session = model.session({ ...options, policy: pagedEviction({ budget: 32 }), history: 1000, numBlocks: 8 });
	session.prefillSync(prompt);
	session.runSync({ maxTokens: 100, sampling });
	const points = session.rewindPoints;
	assert.ok(points.length > 8 && points.length < 60, `${points.length} steps`);
	session.rewind({ tokens: points[0]! });
	session.runSync({ maxTokens: 200 - points[0]!, sampling });
	const alone = model.session({ ...options, policy: pagedEviction({ budget: 32 }) });
	alone.prefillSync(prompt);
	alone.runSync({ maxTokens: 100, sampling });
	const placement = ["block_id", "num_free_blocks", "num_parked_blocks", "freed"];
	assert.deepEqual(rowsOf(session.trace, placement), rowsOf(alone.trace, placement));
});

test("given tokens that were fed are not fed again after a cancellation", () => {
	const context = {
		native: { insideStep: true },
		drain: () => [],
		takeDecision: () => undefined,
	} as unknown as RunContext;
	const work = completeSteps(context, {
		maxSteps: 5,
		forcedTokens: Int32Array.of(1, 2, 3, 4, 5),
		sampling: { temperature: 0, topK: 0, topP: 1 },
	});
	work.next(undefined as unknown as AdvanceResult);
	const next = work.next({ reason: "cancelled", numSteps: 2 }).value as AdvanceRequest;
	assert.equal(next.maxSteps, 3);
	assert.deepEqual(Array.from(next.forcedTokens!), [4, 5], "two are done, the third is under way");
});
