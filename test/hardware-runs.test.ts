// Reading tables of runs, and the command that predicts them: bad rows are refused by column and line.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Command } from "commander";
import { register } from "../kernel/commands/simulate.js";
import { parseRuns, predictionColumns, simulateRuns } from "../sdk/hardware/index.js";
import { parseCsv } from "../sdk/hardware/runs.js";
import { temporaryFolder } from "./helpers/temporary-folder.js";
import { publishedRuns, runsText } from "./helpers/training.js";

/** The text with one field of the first row replaced. */
function withField(column: string, value: string): string {
	const [header, first] = parseCsv(runsText());
	const fields = first!.fields.map((field, index) => (header!.fields[index] === column ? value : field));
	const quoted = fields.map((field) => `"${field.replaceAll('"', '""')}"`);
	return `${header!.fields.join(",")}\n${quoted.join(",")}\n`;
}

test("CSV with quotes, commas, line breaks and carriage returns", () => {
	const rows = parseCsv('a,b\r\n"1,""x""\ny",2\r\n\r\n3,4');
	assert.deepEqual(rows, [
		{ line: 1, fields: ["a", "b"] },
		{ line: 2, fields: ['1,"x"\ny', "2"] },
		{ line: 5, fields: ["3", "4"] },
	]);
	assert.throws(() => parseCsv('a\n"open'), { code: "ERR_OCTAVO_RUNS", message: /line 2/ });
});

test("runs have their configuration, code and use", () => {
	const runs = publishedRuns();
	assert.equal(runs.length, 44);
	const run = runs.find(({ id }) => id === "68")!;
	assert.equal(run.schedule, "S2");
	assert.equal(run.stride, 2);
	assert.equal(run.code, "v3");
	assert.equal(run.use, "calibration");
	assert.equal(run.configuration.offloadRatio, 0.5);
	assert.equal(run.configuration.subgroupNumels.length, 31);
	assert.equal(run.measured?.iterationMs, 2191.25);
	assert.equal(runs.filter(({ use }) => use === "calibration").length, 28);
});

test("subgroups are formed from the model where the file does not list them", () => {
	const [run] = parseRuns(withField("subgroup_numels", ""));
	assert.deepEqual(run!.configuration.subgroupNumels, publishedRuns()[0]!.configuration.subgroupNumels);
});

test("bad rows are refused by column and line", () => {
	const bad = [
		["layers", "0"],
		["layers", "forty"],
		["layers", ""],
		["mbs", "1.5"],
		["ratio", "NaN"],
		["ratio", "-0.1"],
		["ratio", "1.1"],
		["iter_ms", "-5"],
		["iter_ms", "NaN"],
		["update_ms", "0"],
		["schedule", "S3"],
		["code_variant", "v9"],
		["subgroup_numels", "100 -3"],
		["subgroup_numels", "100 1e99"],
		["suggested_use", "perhaps"],
		["nodes", "3"],
		["id", ""],
	] as const;
	for (const [column, value] of bad) {
		const message = new RegExp(`${column === "nodes" ? "numNodes" : column}.* on line 2`);
		assert.throws(
			() => parseRuns(withField(column, value)),
			{ code: "ERR_OCTAVO_RUNS", message },
			`${column}=${value}`,
		);
	}
	const row = runsText().split("\n")[1]!;
	assert.throws(() => parseRuns(`${runsText()}\n${row}`), { code: "ERR_OCTAVO_RUNS", message: /another id than 25/ });
	assert.throws(() => parseRuns(""), { code: "ERR_OCTAVO_RUNS" });
	assert.throws(() => parseRuns("id,profile\n1,2,3\n"), { code: "ERR_OCTAVO_RUNS", message: /column layers/ });
	const short = runsText()
		.split("\n")
		.slice(0, 2)
		.join("\n")
		.replace(/,calibration\r?$/, "");
	assert.throws(() => parseRuns(short), { code: "ERR_OCTAVO_RUNS", message: /37 fields on line 2 but received 36/ });
	const renamed = runsText().replace("grad_accum", "grad_acum");
	assert.throws(() => parseRuns(renamed), {
		code: "ERR_OCTAVO_RUNS",
		message: /grad_accum.*is it the column grad_acum/,
	});
	const stride = withField("schedule", "S2");
	assert.throws(() => parseRuns(stride), { code: "ERR_OCTAVO_RUNS", message: /at least 2 for S2 for k on line 2/ });
});

test("predictions need no measured columns, and do not depend on them", () => {
	const [header, ...rows] = parseCsv(runsText());
	const measured = new Set(
		header!.fields.map((name, i) => (/_ms$|gpu_|host_|tflops|n_iters|suggested/.test(name) ? i : -1)),
	);
	const strip = (fields: readonly string[]): string =>
		fields
			.filter((_, index) => !measured.has(index))
			.map((field) => `"${field}"`)
			.join(",");
	const bare = [strip(header!.fields), ...rows.map((row) => strip(row.fields))].join("\n");
	assert.equal(simulateRuns(bare, "auto"), simulateRuns(runsText(), "auto"));
});

test("octavo simulate writes one row a run and refuses unknown names", async (t) => {
	const folder = await temporaryFolder(t);
	const input = join(folder, "runs.csv");
	const output = join(folder, "predicted.csv");
	writeFileSync(input, runsText());
	const call = (...words: string[]): Promise<unknown> => {
		const program = new Command();
		register(program);
		return program.parseAsync(["simulate", ...words], { from: "user" });
	};
	await call("--profile", "auto", "--runs", input, "--output", output);
	const rows = parseCsv(readFileSync(output, "utf8"));
	assert.deepEqual(rows[0]!.fields, [...predictionColumns]);
	assert.deepEqual(
		rows.slice(1).map((row) => row.fields[0]),
		publishedRuns().map((run) => run.id),
	);
	for (const { fields } of rows.slice(1)) {
		const [forward, backward, update, iteration] = fields.slice(1, 5).map(Number);
		assert.ok(forward! > 0 && forward! + backward! + update! < iteration!, fields.join());
	}
	await assert.rejects(call("--profile", "h100", "--runs", input), {
		code: "ERR_OCTAVO_PROFILE",
		message: /h100-4x/,
	});
	await assert.rejects(call("--runs", join(folder, "none.csv")), { code: "ERR_OCTAVO_FILE", message: /ENOENT/ });
	assert.throws(() => simulateRuns(withField("profile", "V100"), "auto"), {
		code: "ERR_OCTAVO_RUNS",
		message: /V100/,
	});
});
