// Contenders of one's own in the figures of PagedEviction: they run beside the built-in ones, and are refused where their
// points could not be told apart.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { figures, loadModel, type Policy, policies } from "../sdk/index.js";

const model = await loadModel();
after(() => model.close());

// An object with state, so that the figures must call its method and not a copy of it.
class ByPosition implements figures.Contender {
	readonly budgets: number[] = [];
	constructor(
		readonly name: string,
		readonly sign: number,
	) {}
	policy(budget: number): Policy {
		this.budgets.push(budget);
		const { sign } = this;
		return policies.custom({
			budget,
			granularity: "token",
			needs: ["positions"],
			score: ({ positions }) => Float32Array.from(positions, (position) => sign * position),
		});
	}
}

test("a contender of one's own does in a figure what the built-in policy of its kind does", async () => {
	const newest = new ByPosition("newest tokens", 1);
	const options = { budget: 64, numPrompts: 3, numDepths: 3 };
	const { rows } = await figures.needleByDepth(model, { ...options, policies: [newest, figures.contenders[1]!] });
	const found = (policy: string) => rows.filter((row) => row.policy === policy).map((row) => row.score);
	assert.deepEqual(found("streaming-llm"), [1, 0, 1]);
	assert.deepEqual(found("newest tokens"), [1, 0, 1]);
	assert.deepEqual(newest.budgets, new Array(9).fill(64));
	assert.ok(rows.every((row) => row.over_random === null));

	const oldest = new ByPosition("oldest tokens", -1);
	const { rows: memory } = await figures.memoryOverTime(model, { numTokens: 20, policies: [oldest] });
	assert.deepEqual([memory.length, memory.at(-1)!.live_tokens], [21, 64]);
	const { rows: times } = await figures.evictionOverhead(model, { numTokens: 16, policies: [oldest] });
	assert.deepEqual(
		times.map((row) => row.policy),
		["full", "oldest tokens"],
	);
});

test("a custom policy of blocks is cut before the questions come, also in the middle of a block", async () => {
	const score = (block: { logicalIndex: number }) => -block.logicalIndex;
	const own = { name: "own", policy: (budget: number) => policies.custom({ budget, score }) };
	for (const blockSize of [8, 16, 24]) {
		const options = { task: "needle", budgets: [72, 96], blockSize, numPrompts: 2, policies: [own] } as const;
		const given = blockSize === 16 ? { ...options, budgets: [64, 96] } : options;
		const { rows } = await figures.accuracyByBudget(model, given);
		for (const { budget, live_tokens } of rows.slice(1)) {
			assert.ok(live_tokens >= budget! && live_tokens < budget! + blockSize, `${blockSize} ${budget}: ${live_tokens}`);
		}
	}
});

test("by budget: one point a budget, and one of the full cache whether it is named or not", async () => {
	const own = new ByPosition("own", 1);
	const options = { task: "needle", budgets: [48, 64], numPrompts: 2 } as const;
	for (const given of [[own], [own, figures.layouts[0]!]]) {
		const { rows } = await figures.accuracyByBudget(model, { ...options, policies: given });
		assert.deepEqual(
			rows.map((row) => [row.policy, row.budget, row.num_prompts]),
			[
				["full", null, 2],
				["own", 48, 2],
				["own", 64, 2],
			],
		);
	}
});

test("by block size: one's own runs at each size beside the full cache", async () => {
	const own = new ByPosition("own", 1);
	const options = { budget: 96, blockSizes: [8, 32], numPrompts: 2, policies: [own] };
	const { rows } = await figures.accuracyByBlockSize(model, options);
	assert.deepEqual(
		rows.map((row) => [row.policy, row.block_size, row.budget]),
		[
			["full", 8, null],
			["own", 8, 96],
			["full", 32, null],
			["own", 32, 96],
		],
	);
	assert.deepEqual(own.budgets, [96, 96, 96, 96]);
	// The newest tokens of a prompt without what went: blocks of another size protect other first tokens.
	assert.ok(rows.every((row) => row.policy === "full" || row.live_tokens >= 96));
});

test("contenders whose points would be taken together are refused", async () => {
	const code = "ERR_OCTAVO_OPTION";
	const twins = { policies: [new ByPosition("own", 1), new ByPosition("own", -1)] };
	const message = /different names for policies but received two named "own"/;
	await assert.rejects(figures.accuracyByBudget(model, twins), { code, message });
	await assert.rejects(figures.memoryOverTime(model, twins), { code });
	const impostor = { policies: [new ByPosition("full", 1)] };
	await assert.rejects(figures.accuracyByBlockSize(model, impostor), { code, message: /beside the one named "full"/ });
	await assert.rejects(figures.accuracyByBudget(model, { policies: [] }), { code });
	await assert.rejects(figures.accuracyByBudget(model, { budgets: [64, 64] }), { code, message: /budgets/ });
});

test("a budget that takes nothing away is refused where that is what is shown", async () => {
	const code = "ERR_OCTAVO_OPTION";
	await assert.rejects(figures.zeroedOrEvicted(model, { budget: 128 }), { code, message: /budget/ });
});
