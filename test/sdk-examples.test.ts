// Runs every @example of the SDK's documentation, and those of docs/batch.md, as the programs they are, and checks what they
// say they print.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import ts from "typescript";

const root = fileURLToPath(new URL("../../", import.meta.url));

interface Example {
	/** File and line. */
	name: string;
	code: string;
}

function examplesOf(path: string): Example[] {
	const text = readFileSync(join(root, path), "utf8");
	return [...text.matchAll(/@example\s*\n\s*\* ```ts\n([\s\S]*?)\n\s*\* ```/g)].map((match) => ({
		name: `${path}:${text.slice(0, match.index).split("\n").length}`,
		code: match[1]!.replace(/^\s*\* ?/gm, ""),
	}));
}

// Those of a page: blocks that import, and so are programs.
function pageExamples(path: string): Example[] {
	const text = readFileSync(join(root, path), "utf8");
	const blocks = [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map((match) => match[1]!);
	return blocks
		.filter((code) => code.includes("import "))
		.map((code, i) => ({ name: `${path}, program ${i + 1}`, code }));
}

const files = readdirSync(join(root, "sdk"), { recursive: true }).map((file) => `sdk/${file}`);
const examples = [
	...files.filter((file) => file.endsWith(".ts")).flatMap(examplesOf),
	...pageExamples("docs/batch.md"),
];

// What an example prints stands after each console.log as a comment.
function promisedOutput(code: string): string[] {
	return code.split("\n").flatMap((line) => /console\.log\(.*\);\s*\/\/ (.*?)\s*$/.exec(line)?.[1] ?? []);
}

test("there are examples, and they promise output", () => {
	assert.ok(examples.length >= 5, `${examples.length} examples`);
	assert.ok(examples.flatMap(({ code }) => promisedOutput(code)).length >= 5);
	for (const { name, code } of examples) assert.match(code, /from "octavo"/, name);
});

// A program inside the package finds "octavo" by its own name, as one outside finds it in node_modules.
const folder = join(root, "dist", "examples");

test("every example runs and prints what it says", { concurrency: 2 }, async (t) => {
	await mkdir(folder, { recursive: true });
	t.after(() => rm(folder, { recursive: true, force: true }));
	await Promise.all(
		examples.map(({ name, code }, i) =>
			t.test(name, async () => {
				const target = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ES2022 };
				const { outputText } = ts.transpileModule(code, { compilerOptions: target });
				const path = join(folder, `example-${i}.js`);
				await writeFile(path, outputText);
				const { stdout } = await promisify(execFile)(process.execPath, [path], { timeout: 60_000 });
				const promised = promisedOutput(code);
				if (promised.length > 0) assert.deepEqual(stdout.trim().split("\n"), promised);
			}),
		),
	);
});
