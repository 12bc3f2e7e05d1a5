// A thousand spoilt models, opened and run in another process: each opens or is refused with a code; none crashes it, hangs
// it or fails in another way.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "./helpers/temporary-folder.js";

const program = fileURLToPath(new URL("helpers/mutated-models.js", import.meta.url));
const numModels = 1000;

interface Line {
	begin?: number;
	name?: string;
	end?: number;
	outcome?: string;
}

test("a thousand spoilt models end in errors with codes only", { timeout: 600_000 }, async (t) => {
	const folder = await temporaryFolder(t);
	const seed = process.env.OCTAVO_TEST_SEED ?? "20";
	// Little memory for the heap, so that a hostile length that is believed shows.
	const child = spawn(process.execPath, ["--max-old-space-size=512", program, seed, String(numModels), folder], {
		stdio: ["ignore", "pipe", "pipe"],
	});
	t.after(() => child.kill("SIGKILL"));
	const output = { stdout: "", stderr: "" };
	child.stdout.setEncoding("utf8").on("data", (text: string) => {
		output.stdout += text;
	});
	child.stderr.setEncoding("utf8").on("data", (text: string) => {
		output.stderr += text;
	});
	const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => {
		child.on("close", (...ended) => resolve(ended));
	});
	const lines = output.stdout
		.trim()
		.split("\n")
		.filter(Boolean)
		.map((line) => JSON.parse(line) as Line);
	const last = JSON.stringify(lines.at(-1));
	assert.equal(signal, null, `ended by ${signal} in ${last}: ${output.stderr}`);
	assert.equal(code, 0, `ended with ${code} in ${last}: ${output.stderr}`);

	const outcomes = lines.flatMap(({ outcome }) => outcome ?? []);
	assert.equal(outcomes.length, numModels);
	const begun = new Map(lines.flatMap(({ begin, name }) => (begin === undefined ? [] : [[begin, name]])));
	const others = lines.filter(({ outcome }) => outcome?.startsWith("another error"));
	assert.deepEqual(
		others.map(({ end, outcome }) => `${begun.get(end!)}: ${outcome}`),
		[],
	);
	const counts = new Map<string, number>();
	for (const outcome of outcomes) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
	t.diagnostic([...counts].map(([outcome, n]) => `${outcome} ${n}`).join(", "));
	// A test whose models were all sound, or all refused at the first look, would show nothing.
	assert.ok(counts.get("opened")! > 50 && counts.get("opened")! < numModels / 2);
	const codes = ["MODEL_FILE", "MODEL_CONFIG", "MODEL_WEIGHTS", "TOKENIZER"].map((name) => `ERR_OCTAVO_${name}`);
	for (const expected of codes) assert.ok(counts.get(expected)! > 4, `${expected}: ${counts.get(expected)}`);
});
