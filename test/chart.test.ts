// The charts against a trace made by hand: what they must show, as read off that trace, and their JSON as a whole
// against golden files.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as chart from "../sdk/chart/index.js";
import { OctavoError } from "../sdk/errors.js";
import { Trace } from "../sdk/trace/trace.js";
import { matchGolden } from "./helpers/golden.js";
import { syntheticTrace } from "./helpers/synthetic-trace.js";

const trace = syntheticTrace();

type Plot = Record<string, unknown> & {
	name?: string;
	x: (number | string)[];
	y: (number | string)[];
	z: (number | null)[][];
	text: string[][];
};

const plots = (figure: chart.Figure) => figure.data as unknown as Plot[];

function caption(figure: chart.Figure): string {
	const annotations = figure.layout.annotations as { text: string }[];
	return annotations.at(-1)!.text.replaceAll("<br>", " ");
}

const rows: chart.AccuracyRow[] = [
	...[0, 0.5, 0.5, 1].map((score) => ({ policy: "paged-eviction", budget: 48, score })),
	...[0.5, 0.5, 1, 1].map((score) => ({ policy: "paged-eviction", budget: 64, score })),
	...[1, 1, 1, 1].map((score) => ({ policy: "random", budget: 64, score })),
	...[1, 1, 1, 0.5].map((score) => ({ policy: "full", score })),
];

const mark = [{ label: "record", positions: [4, 5, 6, 11] }];

const figures: Record<string, () => chart.Figure> = {
	"block-map": () => chart.blockMap(trace),
	"block-map-step": () => chart.blockMap(trace, { step: 6, layer: 0 }),
	"block-scores": () => chart.blockScores(trace, { step: 4, layer: 0 }),
	"token-scores": () => chart.tokenScores(trace, { mark }),
	survival: () => chart.survival(trace, { mark }),
	memory: () => chart.memory(trace),
	heatmap: () => chart.heatmap({ data: [1, 2, Number.NaN, -4, 5, 6], shape: [2, 3], axisNames: ["row", "column"] }),
	accuracy: () => chart.accuracy(rows, { caption: "Made by hand." }),
};

for (const [name, draw] of Object.entries(figures)) {
	test(`${name} equals its golden file, each time`, () => {
		const figure = draw();
		assert.equal(JSON.stringify(figure), JSON.stringify(draw()));
		matchGolden(`chart-${name}`, figure);
	});
}

test("every figure has a title, axis labels, a caption and hover texts", () => {
	for (const [name, draw] of Object.entries(figures)) {
		const figure = draw();
		assert.ok(figure.title.length > 5, name);
		assert.ok(caption(figure).length > 30, name);
		const { xaxis } = figure.layout as { xaxis: { title: { text: string } } };
		assert.ok(xaxis.title.text, name);
		assert.ok(
			plots(figure).some((plot) => plot.hovertemplate),
			name,
		);
	}
});

test("a figure shows itself for plotly and as text", () => {
	const show = chart.blockMap(trace)[Symbol.for("Jupyter.display") as never] as () => Record<string, unknown>;
	const bundle = show.call(chart.blockMap(trace));
	assert.deepEqual(Object.keys(bundle), ["application/vnd.plotly.v1+json", "text/plain"]);
	assert.equal(bundle["text/plain"], "Figure: Which tokens live in each block, step by step (4 traces)");
});

test("blockMap shows mean positions, blanks where a block is free, and each eviction where it happened", () => {
	const [map, evicted] = plots(chart.blockMap(trace, { layer: 0 }));
	// Layer 0 keeps prompt positions 0-4, 6, 7, 9-13; block 2 holds 10-13 until step 4, then 18 on from step 5.
	assert.deepEqual(map!.z[1]!.slice(0, 2), [6.5, 6.5]);
	assert.deepEqual(map!.z[2]!.slice(3, 7), [11.5, null, 18, 18.5]);
	assert.match(map!.text[1]![0]!, /place 1, 4 filled, score 1\.5625<br>positions 4, 6–7, 9/);
	assert.deepEqual(
		[evicted!.x, evicted!.y],
		[
			[4, 8],
			[2, 3],
		],
	);
});

test("blockMap at a step shows slots in logical order", () => {
	const figure = chart.blockMap(trace, { layer: 1, step: 5 });
	const [map] = plots(figure);
	// At step 4 layer 1 evicted block 1, which takes token 18 in step 5.
	assert.deepEqual(map!.y, ["0 (block 0)", "1 (block 2)", "2 (block 3)", "3 (block 1)"]);
	assert.deepEqual(map!.z.at(-1), [18, null, null, null]);
});

test("blockMap draws fewer steps of a long trace, says so, and keeps every eviction", () => {
	const length = 6000;
	const steps = Array.from({ length }, (_, i) => i);
	const fill = <T>(value: T) => steps.map(() => value);
	const long = Trace.from({
		blocks: {
			step_index: steps,
			layer_index: fill(0),
			logical_index: fill(0),
			block_id: steps.map((step) => step % 16),
			kv_head: fill(-1),
			filled: fill(1),
			score: fill(1),
			positions: steps.map((step) => [step]),
		},
	});
	const figure = chart.blockMap(long);
	assert.ok(plots(figure)[0]!.x.length * 16 <= 40_016);
	assert.match(caption(figure), /One step in 3 is drawn/);
});

test("blockScores names the evicted block, the runner-up and the protected ones as they stood before", () => {
	const figure = chart.blockScores(trace, { step: 4, layer: 0 });
	const byName = Object.fromEntries(plots(figure).map((plot) => [plot.name!.split(":")[0]!, plot]));
	assert.deepEqual(Object.keys(byName), ["evicted", "runner-up", "protected"]);
	assert.deepEqual([byName.evicted!.x, byName.evicted!.y], [["2"], [1.4375]]);
	assert.deepEqual([byName["runner-up"]!.x, byName["runner-up"]!.y], [["1"], [1.5625]]);
	// The newest block, 14-17, filled in this step: place 3 before the eviction, place 2 after it.
	assert.deepEqual(byName.protected!.x, ["0", "3"]);
	assert.match((byName.protected!.hovertext as string[])[1]!, /place 3, block 3<br>positions 14–17/);
	assert.match(caption(figure), /Block 2, positions 10–13, went with 1\.4375; .* 1\.5625/);
});

test("blockScores without an eviction shows the blocks after the step, and works without block rows where there is one", () => {
	const [bars] = plots(chart.blockScores(trace, { step: 5, layer: 0 }));
	assert.deepEqual(bars!.x, ["0", "1", "2", "3"]);
	assert.deepEqual(bars!.text, ["1.4375", "1.5625", "1.4375", "no score"]);
	const bare = syntheticTrace({ withBlocks: false });
	const names = plots(chart.blockScores(bare, { step: 4, layer: 1 })).map((plot) => plot.name!.split(":")[0]);
	assert.deepEqual(names, ["evicted", "runner-up"]);
});

test("tokenScores splits the candidates into kept and dropped", () => {
	const [kept, dropped] = plots(chart.tokenScores(trace, { layer: 0 }));
	assert.deepEqual(kept!.x, [4, 6, 7, 9, 10, 11]);
	assert.deepEqual(
		[dropped!.x, dropped!.y],
		[
			[5, 8],
			[1.125, 1],
		],
	);
});

test("survival tells the step in which each position went", () => {
	const [kept, evicted] = plots(chart.survival(trace, { layer: 0 }));
	const expected: (number | null)[] = new Array(24).fill(null);
	for (const position of [5, 8]) expected[position] = 0;
	for (const position of [10, 11, 12, 13]) expected[position] = 4;
	for (const position of [14, 15, 16, 17]) expected[position] = 8;
	assert.deepEqual(evicted!.z[0], expected);
	assert.deepEqual(
		kept!.z[0],
		expected.map((step) => (step === null ? 1 : null)),
	);
});

test("marks are bands over runs of positions", () => {
	const { shapes } = chart.survival(trace, { mark }).layout as { shapes: { x0: number; x1: number }[] };
	assert.deepEqual(
		shapes.map(({ x0, x1 }) => [x0, x1]),
		[
			[3.5, 6.5],
			[10.5, 11.5],
		],
	);
});

test("memory shows live and allocated tokens, the budget and the fragmentation", () => {
	const byName = Object.fromEntries(plots(chart.memory(trace)).map((plot) => [plot.name!, plot]));
	assert.deepEqual(byName.live!.y.slice(0, 6), [12, 13, 14, 15, 12, 13]);
	assert.deepEqual(byName.allocated!.y.slice(0, 6), [12, 16, 16, 16, 12, 16]);
	assert.deepEqual(byName.fragmentation!.y.slice(0, 3), [0, 18.75, 12.5]);
	assert.deepEqual(byName["budget (12)"]!.y[0], 12);
	assert.deepEqual(byName["full cache would hold"]!.y.slice(0, 2), [14, 15]);
});

test("heatmap flattens leading axes and leaves cells that are not finite blank", () => {
	const [map] = plots(chart.heatmap({ data: [1, 2, 3, Number.NaN, -5, Number.POSITIVE_INFINITY], shape: [3, 1, 2] }));
	assert.deepEqual(map!.z, [
		[1, 2],
		[3, null],
		[-5, null],
	]);
	assert.deepEqual([map!.zmin, map!.zmax], [-5, 5]);
});

test("accuracy draws means and intervals that hold them, and a level line for a full cache", () => {
	const [paged, random, band, level] = plots(chart.accuracy(rows));
	assert.deepEqual(
		[paged!.text, paged!.y],
		[
			["48", "64"],
			[0.5, 0.75],
		],
	);
	const { array, arrayminus } = paged!.error_y as { array: number[]; arrayminus: number[] };
	// Four scores of 0, 0.5, 0.5, 1: the standard error is 0.18, and the interval about twice that each way.
	assert.ok(array[0]! >= 0.25 && array[0]! <= 0.5 && arrayminus[0]! >= 0.25 && arrayminus[0]! <= 0.5);
	const sure = random!.error_y as { array: number[]; arrayminus: number[] };
	assert.deepEqual([sure.array, sure.arrayminus], [[0], [0]]);
	assert.deepEqual(level!.y, [0.875, 0.875]);
	assert.equal(band!.fill, "toself");
});

test("a wider confidence gives a wider interval", () => {
	const reach = (confidence: number) => {
		const { array } = plots(chart.accuracy(rows, { confidence }))[0]!.error_y as { array: number[] };
		return array[0]!;
	};
	assert.ok(reach(0.5) < reach(0.95));
});

const refusals: [what: string, code: string, message: RegExp, draw: () => unknown][] = [
	[
		"a step the trace lacks",
		"CHART",
		/one of the trace's steps \(0 to 10\) but received 99/,
		() => chart.blockMap(trace, { step: 99 }),
	],
	[
		"a layer the trace lacks",
		"CHART",
		/one of the trace's layers \(0, 1\) but received 2/,
		() => chart.blockMap(trace, { layer: 2 }),
	],
	[
		"a misspelt option",
		"OPTION",
		/received stpe; did you mean step\?/,
		() => chart.blockMap(trace, { stpe: 1 } as never),
	],
	["options that are no object", "OPTION", /received 4/, () => chart.blockScores(trace, 4 as never)],
	[
		"no step for blockScores",
		"CHART",
		/one of the trace's steps \(0 to 10\) but received undefined/,
		() => chart.blockScores(trace, {} as never),
	],
	[
		"a step that dropped tokens",
		"CHART",
		/chart\.tokenScores shows step 0/,
		() => chart.blockScores(trace, { step: 0 }),
	],
	["no block rows", "CHART", /recordBlocks/, () => chart.blockMap(syntheticTrace({ withBlocks: false }))],
	["no dropped tokens", "CHART", /the prompt fitted the budget/, () => chart.tokenScores(Trace.from({}))],
	["an empty trace", "CHART", /at least one step/, () => chart.memory(Trace.from({}))],
	["an empty trace", "CHART", /at least one step/, () => chart.survival(Trace.from({}))],
	[
		"a malformed mark",
		"CHART",
		/whole numbers for mark's positions/,
		() => chart.survival(trace, { mark: [{ label: "x", positions: [0.5] }] }),
	],
	[
		"data that do not fit the shape",
		"CHART",
		/6 values for shape \[2, 3\] but received 5/,
		() => chart.heatmap({ data: [1, 2, 3, 4, 5], shape: [2, 3] }),
	],
	[
		"rows without a score",
		"CHART",
		/a score from 0 to 1 in row 0 but received undefined/,
		() => chart.accuracy([{ policy: "x" } as never]),
	],
	["no rows", "CHART", /an array of rows/, () => chart.accuracy([])],
	["a wrong confidence", "CHART", /between 0 and 1 but received 95/, () => chart.accuracy(rows, { confidence: 95 })],
];

for (const [what, code, message, draw] of refusals) {
	test(`refuses ${what}: ${message.source}`, () => {
		assert.throws(draw, (error) => {
			assert.ok(error instanceof OctavoError);
			assert.equal(error.code, `ERR_OCTAVO_${code}`);
			assert.match(error.message, message);
			return true;
		});
	});
}
