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
