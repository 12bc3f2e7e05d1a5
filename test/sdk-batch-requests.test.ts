// What the table of requests says of each sequence, beside what a session says that runs the same alone, and beside the
// times in the table of steps.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { loadModel, type Policy, policies, tasks } from "../sdk/index.js";

const model = await loadModel();
after(() => model.close());
const blockSize = 8;

interface Kind {
	policy: Policy;
	length: number;
	maxTokens: number;
}
const kinds: Kind[] = [
	{ policy: policies.full(), length: 60, maxTokens: 30 },
	{ policy: policies.pagedEviction({ budget: 32 }), length: 100, maxTokens: 1 },
	{ policy: policies.pagedEviction({ budget: 32 }), length: 100, maxTokens: 41 },
	{ policy: policies.snapKv({ budget: 24 }), length: 90, maxTokens: 25 },
	{ policy: policies.keyDiff({ budget: 32, granularity: "token", holes: "mask" }), length: 70, maxTokens: 33 },
	{ policy: policies.streamingLlm({ budget: 24, granularity: "token" }), length: 40, maxTokens: 0 },
];

test("policy, tokens and most blocks of a request are those of the session alone; times are those of its steps", async () => {
	using batch = model.batch({ blockSize, numBlocks: 24 });
	for (const [seed, { policy, length, maxTokens }] of kinds.entries()) {
		const { context } = tasks.recall({ seed, contextLength: length });
		batch.add(context, { policy, maxTokens, seed, endTokens: [] });
	}
	await batch.run();
	const requests = batch.requests.toArray();
	const steps = batch.throughput.toArray();
	assert.equal(requests.length, kinds.length);
	assert.ok(requests.some((row) => row.num_preemptions > 0));
	const during = (us: number) => steps.find((step) => step.start_us <= us && us <= step.start_us + step.total_us)!;
	for (const [seed, { policy, length, maxTokens }] of kinds.entries()) {
		const row = requests[seed]!;
		using session = model.session({ blockSize, policy, seed });
		session.prefillSync(tasks.recall({ seed, contextLength: length }).context);
		session.runSync({ maxTokens, endTokens: [] });
		const blocks = Array.from(session.trace.table("memory"), (each) => each.num_blocks);
		assert.deepEqual(
			{
				...{ policy: row.policy, budget: row.budget, num_prompt_tokens: row.num_prompt_tokens },
				...{ num_output_tokens: row.num_output_tokens, num_blocks_peak: row.num_blocks_peak, state: row.state },
			},
			{
				...{ policy: policy.name, budget: (policy as { budget?: number }).budget ?? null, num_prompt_tokens: length },
				...{ num_output_tokens: maxTokens, num_blocks_peak: Math.max(...blocks), state: "finished" },
			},
			`request ${seed}`,
		);
		assert.equal(row.ttft_us, row.first_token_us === null ? null : row.first_token_us - row.arrival_us);
		const times = [row.arrival_us, row.admitted_us, row.first_token_us ?? row.admitted_us, row.finished_us];
		assert.deepEqual(
			times,
			[...times].sort((a, b) => a - b),
			`request ${seed}`,
		);
		assert.ok(during(row.finished_us).num_ended > 0, `request ${seed} ends with a step`);
		assert.ok(during(row.admitted_us).num_admitted > 0, `request ${seed} begins with a step`);
		// The prompt, and the first token from it, are one step's work.
		if (maxTokens > 0) assert.equal(during(row.first_token_us), during(row.admitted_us), `request ${seed}`);
		if (maxTokens < 2) assert.equal(row.tpot_us, null);
		else {
			const expected = (row.finished_us - row.first_token_us) / (maxTokens - 1);
			assert.ok(Math.abs(row.tpot_us - expected) < 1, `${row.tpot_us}, not ${expected}`);
		}
	}
});

test("a cancelled sequence has ended at once where the batch rests, also one that stands inside a step", async () => {
	using batch = model.batch({ blockSize, numBlocks: 40 });
	const { context } = tasks.recall({ seed: 1, contextLength: 60 });
	const options = { maxTokens: 40, endTokens: [] };
	const [first, second, third] = [1, 2, 3].map((seed) =>
		batch.add(context, { ...options, seed, policy: policies.pagedEviction({ budget: 32 }) }),
	);
	await batch.run({ maxSteps: 3 });
	assert.equal(first!.state, "running");
	first!.cancel();
	assert.deepEqual([first!.state, first!.ended, first!.layer(0).blocks.length], ["cancelled", true, 0]);
	assert.equal((await first!.result()).state, "cancelled");
	assert.equal(batch.throughput.numRows, 3); // it took no step to tell
	second!.breakOn("evict");
	const stop = await batch.run();
	assert.ok(stop.reason === "breakpoint" && stop.event.kind === "evict");
	stop.event.veto();
	second!.cancel();
	assert.deepEqual([second!.state, third!.state], ["cancelled", "running"]);
	assert.equal((await batch.run()).reason, "done");
	assert.deepEqual([second!.state, third!.state], ["cancelled", "finished"]);
	const numTokens = [first!, second!, third!].map(({ trace }) => trace.table("steps").numRows - 1);
	assert.ok(numTokens[0]! < numTokens[1]! && numTokens[1]! < 40 && numTokens[2] === 40, String(numTokens));
});
