// The notebooks on training run from top to bottom, each in a kernel of its own, and what they promise is there.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));

interface Cell {
	outputs?: { output_type: string; text?: string | string[]; data?: Record<string, unknown> }[];
}

function execute(notebook: string): Cell[] {
	const folder = mkdtempSync(join(tmpdir(), "octavo-"));
	try {
		const output = join(folder, "out.ipynb");
		const words = ["run", join(root, "notebooks", notebook), "--output", output, "--timeout", "120"];
		const { status, stderr } = spawnSync(process.execPath, [join(root, "dist/kernel/main.js"), ...words], {
			encoding: "utf8",
		});
		assert.equal(status, 0, stderr);
		return (JSON.parse(readFileSync(output, "utf8")) as { cells: Cell[] }).cells;
	} finally {
		rmSync(folder, { recursive: true });
	}
}

const numCharts = (cells: Cell[]): number =>
	cells.flatMap(({ outputs = [] }) => outputs).filter(({ data = {} }) => "application/vnd.plotly.v1+json" in data)
		.length;

test("figures/deep-optimizer-states draws fourteen figures", () => {
	assert.equal(numCharts(execute("figures/deep-optimizer-states.ipynb")), 14);
});

test("step-optimizer-offload steps, draws, and has its bad schedule refused and the mended one accepted", () => {
	const cells = execute("step-optimizer-offload.ipynb");
	assert.equal(numCharts(cells), 8);
	const printed = cells
		.flatMap(({ outputs = [] }) => outputs.map(({ text = "" }) => [text].flat().join("")))
		.join("\n");
	assert.match(printed, /prefetch\[1\]\.momentum and device-update\[1\] both use/);
	assert.match(printed, /accepted; same time as before: true/);
});
