// What lines look like, and that none hides another: colours by name, points side by side, many forks in one comparison,
// differences to the control.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { looksOf } from "../sdk/chart/looks.js";
import { chart, compare, figures, loadModel, policies, tasks } from "../sdk/index.js";
import { syntheticTrace } from "./helpers/synthetic-trace.js";

const model = await loadModel();
after(() => model.close());

interface Line {
	name: string;
	x: number[];
	y: (number | null)[] | [string[], string[]];
	yaxis?: string;
	text?: string[];
	customdata?: number[];
	line: { color: string; dash: string };
	marker: { symbol: string };
}
const lines = (figure: { data: unknown[] }) => figure.data as Line[];

test("a name of ours looks the same in any company, and no two lines of a figure look alike", () => {
	const names = ["full", "oracle", ...figures.contenders.map(({ name }) => name)];
	const all = looksOf(names);
	assert.equal(new Set(all.map(({ color }) => color)).size, names.length);
	for (const [i, name] of names.entries()) {
		assert.deepEqual(looksOf(["my own", name, "another"])[1], all[i], name);
		assert.deepEqual(looksOf([name])[0], all[i], name);
	}
	const many = looksOf([...names, ...Array.from({ length: 12 }, (_, i) => `own ${i}`)]);
	assert.equal(new Set(many.map(({ color, dash }) => color + dash)).size, names.length + 12);
	assert.equal(looksOf(["random"])[0]!.dash, "dot");
	const [k2, k3, plain] = looksOf(["deep-optimizer-states k=2", "deep-optimizer-states k=3", "octavo"]);
	assert.equal(k2!.color, looksOf(["deep-optimizer-states"])[0]!.color);
	assert.equal(new Set([k2, k3, plain].map((look) => look!.color)).size, 3);
	assert.equal(looksOf(["key-diff by token"])[0]!.color, looksOf(["key-diff"])[0]!.color);
	// An exact name comes before one that only begins so.
	const exact = looksOf(["key-diff by token", "key-diff"]);
	assert.deepEqual(exact[1], looksOf(["key-diff"])[0]);
	assert.notEqual(exact[0]!.color, exact[1]!.color);
});

test("accuracy sets the points of a budget side by side, each nearest to its own budget", () => {
	const names = ["paged-eviction", "key-diff", "random", "own"];
	const rows = names.flatMap((policy) => [32, 48, 64].map((budget) => ({ policy, budget, score: 0.5 })));
	const figure = lines(chart.accuracy([...rows, { policy: "full", score: 1 }]));
	const points = figure.filter(({ text }) => text);
	assert.equal(points.length, 4);
	assert.equal(new Set(points.map(({ x }) => x[0])).size, 4);
	for (const { x, text } of points) {
		assert.deepEqual(text, ["32", "48", "64"]);
		for (const [i, budget] of [32, 48, 64].entries()) assert.ok(Math.abs(x[i]! - budget) < 4);
	}
	const mean = points.reduce((sum, { x }) => sum + x[1]!, 0) / 4;
	assert.ok(Math.abs(mean - 48) < 1e-3);
	// A single policy stands at its budget.
	assert.deepEqual(lines(chart.accuracy(rows.slice(0, 3)))[0]!.x, [32, 48, 64]);
});

test("a comparison of five forks draws five lines that differ, on an axis that shows small and large divergences", () => {
	const prompt = tasks.recall({ seed: 4 }).context;
	using session = model.session({ blockSize: 8, recordLogits: true, forks: 5 });
	session.prefillSync(prompt);
	const budget = 64;
	const changed = [policies.keyDiff, policies.streamingLlm, policies.tova, policies.random];
	const forks = [session.fork(), ...changed.map((make) => session.fork({ policy: make({ budget }) }))];
	const tokens = prompt.slice(1, 25);
	for (const run of [session, ...forks]) run.feedSync(tokens);
	const compared = compare([session, ...forks]);
	const figure = chart.comparison(compared);
	const above = lines(figure).filter(({ yaxis }) => yaxis === undefined);
	assert.deepEqual(
		above.map(({ name }) => name),
		["full 2", "key-diff", "streaming-llm", "tova", "random"],
	);
	assert.equal(new Set(above.map(({ line, marker }) => line.color + line.dash + marker.symbol)).size, 5);
	assert.equal((figure.layout as { yaxis: { type: string } }).yaxis.type, "log");
	const [same, ...others] = above;
	assert.ok((same!.y as number[]).every((y) => y === 1e-6) && same!.customdata!.every((kl) => kl === 0));
	for (const { name, y, customdata } of others) {
		assert.deepEqual(
			y,
			customdata!.map((kl) => Math.max(1e-6, kl)),
			name,
		);
		assert.ok(Math.max(...(y as number[])) > 1e-4, name);
	}
	assert.match(JSON.stringify(figure.layout), /All runs were fed the same tokens/);
	for (const each of forks) each.close();
});

test("survival has a scale of steps only where tokens went in more than one", () => {
	const scales = (figure: { data: unknown[] }) => (figure.data as { showscale?: boolean }[])[1]!.showscale;
	assert.equal(scales(chart.survival(syntheticTrace())), true);
	using session = model.session({ blockSize: 8, policy: policies.keyDiff({ budget: 64 }) });
	session.prefillSync(tasks.recall({ seed: 4 }).context);
	const figure = chart.survival(session.trace);
	assert.equal(scales(figure), false);
	assert.match(JSON.stringify(figure.layout), /evicted, all in step 0/);
});

test("differences to the control stand with the verdict that their intervals give", () => {
	const point = (policy: string, low: number | null, high: number | null, task = "recall"): figures.Point => ({
		...{ task, setting: "", policy, budget: 64, block_size: 8, num_prompts: 10, score: 0.5, score_low: 0.4 },
		...{ score_high: 0.6, over_random: low === null ? null : (low + high!) / 2, over_random_low: low },
		...{ over_random_high: high, live_tokens: 64, allocated_tokens: 64, fragmentation: 0 },
	});
	const points = [
		point("full", null, null),
		point("good", 0.1, 0.3),
		point("bad", -0.4, -0.2),
		point("so-so", -0.1, 0.2),
		point("edge", 0, 0.2),
		point("random", 0, 0),
		point("good", -0.3, 0.1, "needle"),
	];
	const { chart: figure, rows, name } = figures.overRandom(points);
	assert.deepEqual([name, rows.length], ["over-random", 5]);
	const [order, ...verdicts] = lines(figure);
	assert.deepEqual((order!.y as unknown as string[][])[1], ["good", "bad", "so-so", "edge", "good"]);
	const drawn = verdicts.map(({ name: verdict, y }) => [verdict, (y as [string[], string[]])[1]]);
	assert.deepEqual(drawn, [
		["better than chance", ["good"]],
		["no difference shown", ["so-so", "edge", "good"]],
		["worse than chance", ["bad"]],
	]);
	const bars = verdicts[0] as unknown as { x: number[]; error_x: { array: number[]; arrayminus: number[] } };
	assert.deepEqual([bars.x, bars.error_x.array, bars.error_x.arrayminus], [[0.2], [0.1], [0.1]]);
	for (const none of [[], [point("full", null, null)], undefined]) {
		assert.throws(() => figures.overRandom(none as never), { code: "ERR_OCTAVO_OPTION", message: /random control/ });
	}
});
