// Charts of a saved trace, in a process of its own: the same figures as from the live trace, and no engine loaded.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import * as chart from "../sdk/chart/index.js";
import { syntheticTrace } from "./helpers/synthetic-trace.js";

const draw = `
	import { Trace } from ${JSON.stringify(new URL("../sdk/trace/trace.js", import.meta.url))};
	import * as chart from ${JSON.stringify(new URL("../sdk/chart/index.js", import.meta.url))};
	const trace = await Trace.load(process.argv[1]);
	const figures = [chart.blockMap(trace), chart.blockScores(trace, { step: 4 }), chart.tokenScores(trace), chart.survival(trace), chart.memory(trace)];
	const native = process.report.getReport().sharedObjects.filter((file) => file.endsWith(".node"));
	console.log(JSON.stringify({ figures, native }));
`;

test("figures of a saved trace equal those of the live one, with no engine in the process", async (context) => {
	const folder = await mkdtemp(join(tmpdir(), "octavo-chart-"));
	context.after(() => rm(folder, { recursive: true }));
	const trace = syntheticTrace();
	await trace.save(join(folder, "run.arrow"));
	const { stdout } = await promisify(execFile)(
		process.execPath,
		["--input-type=module", "--eval", draw, join(folder, "run.arrow")],
		{ maxBuffer: 2 ** 26 },
	);
	const { figures, native } = JSON.parse(stdout) as { figures: unknown[]; native: string[] };
	const live = [
		chart.blockMap(trace),
		chart.blockScores(trace, { step: 4 }),
		chart.tokenScores(trace),
		chart.survival(trace),
		chart.memory(trace),
	];
	assert.deepEqual(figures, JSON.parse(JSON.stringify(live)));
	assert.deepEqual(native, []);
});
