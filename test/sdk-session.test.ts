// Sessions: the three ways to advance leave one trace; breakpoints stop before their happening; aborts and failures
// leave the session able to go on.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { type Policy, pagedEviction, random, streamingLlm } from "../sdk/decode/policies/index.js";
import type { Session } from "../sdk/decode/session.js";
import type { Step } from "../sdk/decode/step.js";
import { loadModel, type Model, randomModel } from "../sdk/load-model.js";
import { recall } from "../sdk/model/tasks/recall.js";
import { rowsOf } from "./helpers/trace-rows.js";

const prompt = recall({ seed: 5, contextLength: 100 }).context;
const sampling = { temperature: 1, topK: 40 };
const numTokens = 60;
let model: Model;
before(async () => {
	model = await loadModel();
});

function open(policy: Policy = pagedEviction({ budget: 32 }), seed = 7): Session {
	return model.session({ blockSize: 8, policy, seed });
}

const ways: Record<string, (session: Session) => Promise<void>> = {
	"step by step": async (session) => {
		await session.prefill(prompt);
		for (let i = 0; i < numTokens; i++) await session.step({ sampling });
	},
	"step by step on this thread": async (session) => {
		session.prefillSync(prompt);
		for (let i = 0; i < numTokens; i++) session.stepSync({ sampling });
	},
	"in a loop": async (session) => {
		await session.prefill(prompt);
		for await (const step of session.steps({ maxTokens: numTokens, sampling })) assert.equal(step.phase, "decode");
	},
	"in two loops": async (session) => {
		await session.prefill(prompt);
		for await (const step of session.steps({ maxTokens: numTokens, sampling })) if (step.index === 20) break;
		for await (const _ of session.steps({ maxTokens: numTokens - 20, sampling }));
	},
	"by a run": async (session) => {
		await session.prefill(prompt);
		assert.deepEqual(await session.run({ maxTokens: numTokens, sampling }), {
			reason: "max-tokens",
			numSteps: numTokens,
		});
	},
	"by a run on this thread": async (session) => {
		session.prefillSync(prompt);
		session.runSync({ maxTokens: numTokens, sampling });
	},
	"by a run that stops at everything": async (session) => {
		await session.prefill(prompt);
		session.breakOn("evict");
		session.breakOn("block-full");
		session.breakOn("token");
		const kinds = new Set<string>();
		for (let done = 0; done < numTokens; ) {
			const result = await session.run({ maxTokens: numTokens - done, sampling });
			done += result.numSteps;
			if (result.reason === "breakpoint") kinds.add(result.event.kind);
			session.layer(0).blockTable.toArray();
			assert.equal(session.trace.table("steps").numRows, 1 + done);
		}
		assert.deepEqual([...kinds].sort(), ["block-full", "evict", "token"]);
	},
};

for (const policy of [pagedEviction({ budget: 32 }), random({ budget: 32 }), streamingLlm({ budget: 32 })]) {
	test(`${policy.name}: every way to advance leaves the same trace`, async () => {
		let expected: Record<string, unknown> | undefined;
		for (const [name, advance] of Object.entries(ways)) {
			const session = open(policy);
			await advance(session);
			const rows = rowsOf(session.trace);
			expected ??= rows;
			assert.deepEqual(rows, expected, name);
			session.close();
		}
		const { steps } = expected as { steps: [string, number[]][] };
		assert.equal(steps[0]![1].length, 1 + numTokens);
	});
}

test("another seed samples other tokens", async () => {
	const tokens = [7, 8].map((seed) => {
		const session = open(undefined, seed);
		session.prefillSync(prompt);
		session.runSync({ maxTokens: numTokens, sampling });
		return Array.from(session.tokens);
	});
	assert.notDeepEqual(tokens[0], tokens[1]);
});

test("a step's record equals the trace's rows", async () => {
	const session = open();
	const steps: Step[] = [await session.prefill(prompt)];
	for await (const step of session.steps({ maxTokens: 40, sampling })) steps.push(step);
	const rows = session.trace.table("steps").toArray();
	for (const [i, step] of steps.entries()) {
		const row = rows[i]!;
		assert.equal(step.index, i);
		assert.equal(step.token, row.token_id);
		assert.equal(step.text, model.tokenizer!.name(step.token));
		assert.equal(step.position, row.position_index);
		assert.equal(step.phase, String(row.phase));
		assert.equal(step.us, row.total_us);
		assert.deepEqual([step.logprob, step.entropy], [row.token_logprob, row.entropy]);
	}
	const evictions = steps.flatMap((step) => step.evictions);
	const table = session.trace.table("evictions").toArray();
	assert.ok(evictions.length > 16);
	assert.deepEqual(
		evictions.map(({ id, layer, score }) => [id, layer, score]),
		table.map((row) => [row.eviction_id, row.layer_index, row.score]),
	);
	assert.deepEqual(
		evictions.map(({ positions }) => positions),
		table.map((row) => Array.from(row.positions)),
	);
});

test("a breakpoint stops before the block is freed; going on frees it", async () => {
	const session = open();
	await session.prefill(prompt);
	const breakpoint = session.breakOn("evict", (event) => event.layer === 2);
	const stop = await session.run({ maxTokens: 200 });
	assert.ok(stop.reason === "breakpoint" && stop.event.kind === "evict");
	const { event } = stop;
	assert.equal(stop.breakpoint, breakpoint);
	assert.deepEqual([event.layer, event.granularity, breakpoint.hits], [2, "block", 1]);
	assert.equal(session.stoppedAt, event);

	const layer = session.layer(2);
	const block = layer.block(event.logicalIndex!);
	assert.equal(block.blockId, event.blockId);
	assert.equal(block.refCount, 1);
	assert.equal(block.score, event.score);
	assert.deepEqual(block.positions, event.positions);
	// What goes is the lowest of the candidates, the runner-up the next; first and newest block are none.
	const order = Array.from(event.candidateScores).sort((a, b) => a - b);
	assert.deepEqual([event.score, event.runnerUpScore], order.slice(0, 2));
	assert.deepEqual(Array.from(event.candidates), [1, 2, 3]);
	assert.equal(layer.numBlocks, 5);
	// The score is the mean over tokens and heads of |V| / |K|, computed here from the tensors themselves.
	let score = 0;
	for (let head = 0; head < 2; head++) {
		for (let slot = 0; slot < 8; slot++) {
			const norm = (vector: ArrayLike<number>) => Math.hypot(...Array.from(vector));
			score += norm(block.values.at(head, slot).data) / norm(block.keys.at(head, slot).data) / 16;
		}
	}
	assert.ok(Math.abs(score - event.score) < 1e-5, `${score} and ${event.score}`);

	breakpoint.remove();
	const before = session.trace.table("evictions").numRows;
	await session.step();
	assert.equal(session.stoppedAt, undefined);
	const after = session.layer(2);
	assert.equal(after.numBlocks, 4);
	assert.ok(!after.blocks.some(({ blockId }) => blockId === event.blockId));
	assert.equal(after.numFreeBlocks, layer.numFreeBlocks + 1);
	const rows = session.trace.table("evictions").toArray().slice(before);
	const row = rows.find((candidate) => candidate.layer_index === 2)!;
	assert.deepEqual([row.block_id, row.freed, row.step_index], [event.blockId, true, event.stepIndex]);
	assert.deepEqual(await session.run({ maxTokens: 10 }), { reason: "max-tokens", numSteps: 10 });
});

test("breakpoints can be switched off, have conditions, and throw what their conditions throw", async () => {
	const session = open();
	await session.prefill(prompt);
	const breakpoint = session.breakOn("token", ({ step }) => step.index === 3);
	const first = await session.run({ maxTokens: 10 });
	assert.ok(first.reason === "breakpoint" && first.event.kind === "token" && first.event.stepIndex === 3);
	breakpoint.enabled = false;
	assert.equal((await session.run({ maxTokens: 5 })).reason, "max-tokens");
	const wrong = session.breakOn("block-full", () => {
		throw new RangeError("mine");
	});
	await assert.rejects(session.run({ maxTokens: 50 }), RangeError);
	wrong.remove();
	assert.equal((await session.run({ maxTokens: 5 })).reason, "max-tokens");
	assert.throws(() => session.breakOn("evicts" as never), {
		code: "ERR_OCTAVO_BREAKPOINT",
		message: /did you mean evict\?/,
	});
});

test("end tokens end a run, a loop, and nothing else", async () => {
	const session = open();
	await session.prefill(prompt);
	await session.run({ maxTokens: 12 });
	const greedy = Array.from(session.tokens.slice(prompt.length));
	const endTokens = [greedy[5]!];
	const numSteps = greedy.indexOf(endTokens[0]!) + 1;
	const byRun = open();
	await byRun.prefill(prompt);
	assert.deepEqual(await byRun.run({ maxTokens: 12, endTokens }), {
		reason: "end-token",
		numSteps,
		token: endTokens[0],
	});
	const byLoop = open();
	await byLoop.prefill(prompt);
	let count = 0;
	for await (const _ of byLoop.steps({ maxTokens: 12, endTokens })) count++;
	assert.equal(count, numSteps);
});

test("keys are seen without a copy and follow the session", async () => {
	const session = open();
	await session.prefill(prompt);
	const { keys } = session.layer(0);
	const before = keys.copy();
	await session.run({ maxTokens: 8 });
	assert.notDeepEqual(keys.data, before.data);
	assert.equal(session.layer(0).keys.data.buffer.byteLength, keys.data.buffer.byteLength);
	const { keys: now } = session.layer(0);
	assert.deepEqual(now.data, keys.data);
	session.close();
	assert.equal(keys.get(0, 0, 0, 0), now.get(0, 0, 0, 0), "readable after close");
});

test("an aborted run rejects with the reason, keeps its steps and goes on", async () => {
	// Long enough steps that the abort comes in the middle of the run.
	const shape = { numLayers: 4, hiddenSize: 256, intermediateSize: 512, numQueryHeads: 4, numKvHeads: 2, headDim: 64 };
	const slow = randomModel(
		{ ...shape, vocabSize: 4000, maxPositions: 4096, rmsNormEps: 1e-5, ropeTheta: 1e4, tieWordEmbeddings: true },
		3,
	);
	const session = slow.session({ blockSize: 16, policy: random({ budget: 64 }), recordBlocks: false });
	session.prefillSync([1, 2, 3]);
	const reason = new Error("enough");
	const controller = new AbortController();
	const timer = setInterval(() => session.numTokens > 5 && controller.abort(reason), 1);
	await assert.rejects(session.run({ maxTokens: 4000, signal: controller.signal }), reason);
	clearInterval(timer);
	const done = session.trace.table("steps").numRows - 1;
	assert.ok(done > 0 && done < 3900, `${done} steps`);
	await assert.rejects(session.step({ signal: controller.signal }), reason);
	await session.feed([5, 6, 7]);
	assert.deepEqual(Array.from(session.tokens.slice(-3)), [5, 6, 7]);
	assert.equal((await session.run({ maxTokens: 3 })).reason, "max-tokens");
	const loop = async () => {
		for await (const _ of session.steps({ signal: controller.signal }));
	};
	await assert.rejects(loop(), reason);

	const whole = slow.session({ blockSize: 16, policy: random({ budget: 64 }), recordBlocks: false });
	whole.prefillSync([1, 2, 3]);
	const forced = Array.from(session.tokens).lastIndexOf(5);
	whole.runSync({ maxTokens: forced - 3 });
	whole.feedSync([5, 6, 7]);
	whole.runSync({ maxTokens: 3 });
	assert.deepEqual(rowsOf(session.trace), rowsOf(whole.trace), "an abort leaves no mark");
});

test("one call at a time; none after close", async () => {
	const session = open();
	const pending = session.prefill(prompt);
	assert.throws(() => session.stepSync(), { code: "ERR_OCTAVO_BUSY" });
	await assert.rejects(session.step(), { code: "ERR_OCTAVO_BUSY" });
	assert.throws(() => session.close(), { code: "ERR_OCTAVO_BUSY" });
	await pending;
	await session.step();
	const { trace } = session;
	session.close();
	session.close();
	await assert.rejects(session.step(), { code: "ERR_OCTAVO_CLOSED" });
	assert.throws(() => session.runSync(), { code: "ERR_OCTAVO_CLOSED" });
	assert.throws(() => session.tokens, { code: "ERR_OCTAVO_CLOSED" });
	assert.throws(() => session.layer(0), { code: "ERR_OCTAVO_CLOSED" });
	assert.equal(trace.table("steps").numRows, 2);
});

test("the kernel's interrupt signal stops a run as a signal of the caller's does", async () => {
	const key = Symbol.for("octavo.interrupt");
	const controller = new AbortController();
	Reflect.set(globalThis, key, controller.signal);
	try {
		const session = model.session();
		await session.prefill([1, 150]);
		const run = session.run({ maxTokens: 900 });
		controller.abort(new Error("interrupted here"));
		await assert.rejects(run, /interrupted here/);
		assert.ok(session.numTokens < 902, "the run was cut short");
		Reflect.set(globalThis, key, new AbortController().signal);
		assert.equal((await session.run({ maxTokens: 2 })).numSteps, 2);
		session.close();
	} finally {
		Reflect.deleteProperty(globalThis, key);
	}
});
