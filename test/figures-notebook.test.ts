// The comparison notebook runs headless; its figures have the control on them, and its saved tables say what the prose says.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { temporaryFolder } from "./helpers/temporary-folder.js";

const root = fileURLToPath(new URL("../../", import.meta.url));

interface Row {
	policy: string;
	budget: number | null;
	score: number;
	over_random_low: number | null;
}

test("notebooks/compare-eviction-policies.ipynb runs, and its tables hold what it says", async (t) => {
	const folder = await temporaryFolder(t);
	const output = join(folder, "compare.ipynb");
	const notebook = join(root, "notebooks", "compare-eviction-policies.ipynb");
	const main = join(root, "dist", "kernel", "main.js");
	const env = { ...process.env, OCTAVO_OUT: folder };
	const args = [main, "run", notebook, "--output", output];
	await promisify(execFile)(process.execPath, args, { timeout: 600_000, env, maxBuffer: 2 ** 28 });
	const { cells } = JSON.parse(await readFile(output, "utf8")) as {
		cells: { cell_type: string; outputs?: { output_type: string; name?: string; text?: string[] }[] }[];
	};
	const outputs = cells.flatMap((cell) => cell.outputs ?? []);
	assert.deepEqual(
		outputs.filter(({ output_type, name }) => output_type === "error" || name === "stderr"),
		[],
	);
	const text = JSON.stringify(outputs);
	assert.match(text, /recall at budget 64: full (1\.000|0\.9[89]\d)/);
	const rows = async (name: string) =>
		(JSON.parse(await readFile(join(folder, "compare-eviction-policies", `${name}.json`), "utf8")) as { rows: Row[] })
			.rows;
	assert.equal((await rows("over-random")).length, 24);
	for (const name of ["accuracy-recall", "accuracy-needle", "accuracy-lookup", "score-variants", "scopes"])
		assert.ok(
			(await rows(name)).some(({ policy }) => policy === "random"),
			name,
		);
	const recall = await rows("accuracy-recall");
	const at64 = (policy: string) => recall.find((row) => row.policy === policy && row.budget === 64)!;
	assert.ok(at64("key-diff").over_random_low! > 0.3);
	assert.ok(at64("paged-eviction").score < at64("random").score);
	// Without filler nothing can win: far above the share kept would mean that evicted tokens were seen.
	for (const row of (await rows("accuracy-lookup")).filter(({ budget }) => budget === 24))
		assert.ok(row.score < 0.6, `${row.policy} ${row.score}`);
});
