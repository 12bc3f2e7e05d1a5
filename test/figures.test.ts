// The figures of Deep Optimizer States: near the published values, S1 wherever S0 is, and the same each time.

import assert from "node:assert/strict";
import { test } from "node:test";
import { deepOptimizerStates, scheduleNames } from "../sdk/figures/index.js";
import { matchGolden } from "./helpers/golden.js";

const all = deepOptimizerStates.map((draw) => draw());
const caption = (layout: Record<string, unknown>): string =>
	(layout.annotations as { text: string }[]).at(-1)!.text.replaceAll("<br>", " ");

for (const { name, rows, chart, table } of all) {
	test(`${name}: table and chart are those of the golden file`, () => {
		assert.equal(table.numRows, rows.length);
		const rounded = rows.map((row) => ({ ...row, simulated: row.simulated && Number(row.simulated.toPrecision(6)) }));
		matchGolden(`figure-${name}`, { rows: rounded, chart });
	});
}

test("S1 stands beside S0 on every figure that has S0, and every caption says what was simulated", () => {
	for (const { name, rows, chart } of all) {
		const schedules = new Set(rows.map((row) => row.schedule));
		assert.equal(schedules.has(scheduleNames.S1), true, name);
		assert.match(caption(chart.layout), /simulated/i, name);
		if (rows.some((row) => row.published !== null)) assert.match(caption(chart.layout), /arXiv:2410\.21316/, name);
	}
	assert.equal(new Set(all.map(({ name }) => name)).size, all.length);
});

test("iteration and update times are near the published ones", () => {
	const errors: number[] = [];
	for (const { rows, name } of all) {
		if (name !== "iteration-time" && name !== "twinflow-ratio") continue;
		for (const { simulated, published } of rows) {
			if (simulated !== null && published !== null) errors.push(Math.abs(simulated / published - 1));
		}
	}
	errors.sort((a, b) => a - b);
	assert.equal(errors.length, 22);
	assert.ok(errors[11]! < 0.03 && errors.at(-1)! < 0.12, `median ${errors[11]}, worst ${errors.at(-1)}`);
});

test("octavo is the fastest at equal residency, and k=2 is S2's best stride, as published", () => {
	for (const { rows, name } of all) {
		const iterations = rows.filter((row) => row.quantity === "iteration");
		for (const row of iterations) {
			const ours = iterations.find((r) => r.setting === row.setting && r.schedule === scheduleNames.octavo)!;
			assert.ok(ours.simulated! <= row.simulated!, `${name} ${row.setting}: ${row.schedule}`);
		}
		if (!name.startsWith("update-stride")) continue;
		const s2 = iterations.filter((row) => row.schedule === scheduleNames.S2);
		assert.equal(s2.reduce((a, b) => (b.simulated! < a.simulated! ? b : a)).setting, "k=2", name);
	}
});

test("a slow link makes interleaving pay at a longer stride, or not at all", () => {
	const { rows } = all.find(({ name }) => name === "link-bandwidth")!;
	const strides = rows.filter((row) => row.quantity === "best update stride").map((row) => row.simulated!);
	assert.deepEqual(
		[...strides].sort((a, b) => b - a),
		strides,
		"the faster the link, the shorter the stride",
	);
	assert.ok(strides[0]! > 2 && strides.at(-1) === 2, String(strides));
	const seconds = (setting: string, schedule: string) =>
		rows.find((row) => row.setting === setting && row.schedule === schedule && row.quantity === "iteration")!
			.simulated!;
	const { S1, S2 } = scheduleNames;
	assert.ok(seconds("6", S2) > 0.98 * seconds("6", S1) && seconds("55.2", S2) < 0.8 * seconds("55.2", S1));
});

test("over nodes an update shrinks with its share of the state, and an iteration does not", () => {
	const { rows } = all.find(({ name }) => name === "nodes")!;
	const of = (setting: string, quantity: string) =>
		rows.find((row) => row.setting === setting && row.quantity === quantity && row.schedule === scheduleNames.S1)!;
	assert.ok(of("8", "update").simulated! < of("1", "update").simulated! / 6);
	assert.ok(of("8", "iteration").simulated! > of("1", "iteration").simulated!);
});
