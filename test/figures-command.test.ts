// octavo figures and octavo simulate from the command line: the files they write, and what they refuse.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { findChromium } from "../kernel/display/figure-images.js";

const main = fileURLToPath(new URL("../kernel/main.js", import.meta.url));
const runs = fileURLToPath(new URL("../../test/golden/hardware/offload-runs.csv", import.meta.url));
const octavo = (...words: string[]) => spawnSync(process.execPath, [main, ...words], { encoding: "utf8" });

test("figures writes every figure in every format that this machine can draw", () => {
	const folder = mkdtempSync(join(tmpdir(), "octavo-"));
	try {
		const { status, stdout, stderr } = octavo("figures", "deep-optimizer-states", "--output", join(folder, "out"));
		assert.equal(status, 0, stderr);
		assert.match(stdout, /^14 figures/);
		const endings = ["arrow", "html", "json", ...(findChromium() ? ["png", "svg"] : [])];
		const files = readdirSync(join(folder, "out"));
		for (const ending of endings) assert.equal(files.filter((file) => file.endsWith(`.${ending}`)).length, 14, ending);
		assert.equal(files.length, 14 * endings.length);
		const read = (file: string) => readFileSync(join(folder, "out", file));
		const { rows, chart } = JSON.parse(read("iteration-time.json").toString()) as { rows: object[]; chart: object };
		assert.ok(rows.length === 80 && "data" in chart);
		assert.equal(read("iteration-time.arrow").subarray(0, 6).toString(), "ARROW1");
		if (!findChromium()) return assert.match(stderr, /no Chromium/);
		assert.match(read("memory.svg").toString(), /^<svg[\s\S]*Memory in use[\s\S]*<\/svg>\s*$/);
		assert.deepEqual(
			[...read("memory.png").subarray(1, 4)],
			[..."PNG"].map((c) => c.charCodeAt(0)),
		);
	} finally {
		rmSync(folder, { recursive: true });
	}
});

test("figures refuses another paper and a folder that cannot be", () => {
	assert.match(octavo("figures", "nothing").stderr, /ERR_OCTAVO_FIGURES/);
	const { status, stderr } = octavo("figures", "deep-optimizer-states", "--output", join(main, "x"));
	assert.equal(status, 1);
	assert.match(stderr, /ERR_OCTAVO_FILE/);
});

test("simulate predicts each run and refuses an unknown profile", () => {
	const { status, stdout } = octavo("simulate", "--runs", runs);
	assert.equal(status, 0);
	const [header, ...rows] = stdout.trim().split("\n");
	assert.match(header!, /^id,pred_fwd_ms,pred_bwd_ms,pred_update_ms,pred_iter_ms/);
	assert.equal(rows.length, readFileSync(runs, "utf8").trim().split("\n").length - 1);
	for (const row of rows)
		assert.ok(
			row
				.split(",")
				.slice(1)
				.every((field) => Number(field) >= 0),
		);
	const refused = octavo("simulate", "--runs", runs, "--profile", "h100");
	assert.equal(refused.status, 1);
	assert.match(refused.stderr, /ERR_OCTAVO_PROFILE/);
});
