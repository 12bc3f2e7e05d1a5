// The charts of a training iteration: what they must show, as read off the trace, and golden files.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as chart from "../sdk/chart/index.js";
import { profileByName, simulateIteration } from "../sdk/hardware/index.js";
import { IterationTrace } from "../sdk/trace/iteration-trace.js";
import { deepOptimizerStates, zeroOffloadAsync } from "../sdk/train/schedule/index.js";
import { matchGolden } from "./helpers/golden.js";
import { tinyConfiguration } from "./helpers/training.js";

const profile = profileByName("h100-4x");
const configuration = tinyConfiguration({ offloadRatio: 0.8 });
const s1 = simulateIteration(zeroOffloadAsync(configuration), profile).trace;
const s2 = simulateIteration(deepOptimizerStates(configuration, { updateStride: 2 }), profile).trace;

type Plot = { name: string; x: number[]; y: (number | string)[]; base: number[]; text: string[]; yaxis?: string };
const plots = (figure: chart.Figure) => figure.data as unknown as Plot[];

const figures: Record<string, () => chart.Figure> = {
	"task-timeline": () => chart.taskTimeline(s2, { phase: "update" }),
	"iteration-memory": () => chart.iterationMemory(s1, s2),
	residency: () => chart.residency(s2),
	utilisation: () => chart.utilisation(s1, s2),
	"iteration-breakdown": () => chart.iterationBreakdown(s1, s2),
};

for (const [name, draw] of Object.entries(figures)) {
	test(`${name} equals its golden file and says that it was simulated`, () => {
		const figure = draw();
		assert.match(JSON.stringify(figure.layout), /Simulated on profile(<br>| )h100-4x/);
		matchGolden(`chart-${name}`, figure);
	});
}

test("the timeline shows every working task where it ran, and no bar over another", () => {
	const data = plots(chart.taskTimeline(s2));
	const columns = s2.columns("tasks");
	const working = (columns.kind as string[]).filter(
		(kind, i) =>
			!["wait", "release"].includes(kind) && (columns.end_us![i] as number) > (columns.start_us![i] as number),
	);
	const bars = data.flatMap(({ x, y, base }) => x.map((length, i) => ({ from: base[i]!, length, lane: y[i]! })));
	assert.equal(bars.length, working.length);
	bars.sort((a, b) => Number(a.lane) - Number(b.lane) || a.from - b.from);
	for (const [i, bar] of bars.entries()) {
		const next = bars[i + 1];
		if (next?.lane === bar.lane) assert.ok(bar.from + bar.length <= next.from * (1 + 1e-5) + 1e-9);
	}
	assert.throws(() => chart.taskTimeline(s2, { phase: "sideways" }), { code: "ERR_OCTAVO_CHART" });
	assert.throws(() => chart.taskTimeline(s2, { phases: "update" } as never), { code: "ERR_OCTAVO_OPTION" });
});

test("residency covers the iteration for each subgroup, and device visits are those of the schedule", () => {
	const byPlace = Object.fromEntries(plots(chart.residency(s2)).map((plot) => [plot.name, plot]));
	const numSubgroups = configuration.subgroupNumels.length;
	const covered = new Array<number>(numSubgroups).fill(0);
	for (const { x, y } of Object.values(byPlace)) for (const [i, row] of y.entries()) covered[Number(row)]! += x[i]!;
	for (const length of covered) assert.ok(Math.abs(length / (s2.metadata.iterationUs / 1e6) - 1) < 1e-4);
	// 5 of 7 are offloaded: 1 and 3 visit; 5 and 6 are resident.
	assert.deepEqual([...byPlace["on the device"]!.y].sort(), [1, 3, 5, 6]);
});

test("the breakdown adds up to the iteration, and memory reaches the trace's peak", () => {
	const total = plots(chart.iterationBreakdown(s1, s2)).reduce((sum, { x }) => sum + x[1]!, 0);
	assert.ok(Math.abs(total / (s2.metadata.iterationUs / 1e6) - 1) < 1e-4);
	const [device] = plots(chart.iterationMemory(s2));
	const peak = Math.max(...(s2.columns("memory").device_bytes as number[])) / 1e9;
	assert.ok(Math.abs(Math.max(...(device!.y as number[])) / peak - 1) < 1e-5);
	const empty = { tasks: {}, memory: {}, residency: {}, utilisation: {}, phases: {} } as Record<string, object>;
	for (const name of Object.keys(empty)) {
		const columns = s2.columns(name as "tasks");
		empty[name] = Object.fromEntries(Object.keys(columns).map((column) => [column, []]));
	}
	const bare = IterationTrace.from(empty as never, s2.metadata);
	for (const draw of [chart.taskTimeline, chart.iterationMemory, chart.residency, chart.utilisation]) {
		assert.throws(() => draw(bare), { code: "ERR_OCTAVO_CHART" });
	}
});
