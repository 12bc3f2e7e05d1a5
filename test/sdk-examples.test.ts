// Runs every @example of the SDK's documentation, and the programs of README.md and docs/, as the programs they are, and
// checks what they say they print. They find the files that their pages speak of in the folder they run in.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import ts from "typescript";
import { loadModel, policies, tasks } from "../sdk/index.js";
import { temporaryFolder } from "./helpers/temporary-folder.js";
import { tinyCheckpoint, writeTiny } from "./helpers/tiny-checkpoint.js";
import { trainBpe } from "./helpers/train-bpe.js";

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

// Blocks of a page.
function blocksOf(path: string): Example[] {
	const text = readFileSync(join(root, path), "utf8");
	return [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map((match) => ({
		name: `${path}:${text.slice(0, match.index).split("\n").length}`,
		code: match[1]!,
	}));
}

const isProgram = ({ code }: Example): boolean => code.includes("import ");
const pages = ["README.md", ...readdirSync(join(root, "docs")).map((file) => `docs/${file}`)];
const blocks = pages.filter((page) => page.endsWith(".md")).flatMap(blocksOf);
const files = readdirSync(join(root, "sdk"), { recursive: true }).map((file) => `sdk/${file}`);
const comments = files.filter((file) => file.endsWith(".ts")).flatMap(examplesOf);
const examples = [...comments, ...blocks.filter(isProgram)];

// What an example prints stands after each console.log as a comment.
function promisedOutput(code: string): string[] {
	return code.split("\n").flatMap((line) => /console\.log\(.*\);\s*\/\/ (.*?)\s*$/.exec(line)?.[1] ?? []);
}

test("there are examples, and they promise output", () => {
	assert.ok(examples.length >= 5, `${examples.length} examples`);
	assert.ok(examples.flatMap(({ code }) => promisedOutput(code)).length >= 5);
	for (const { name, code } of comments) assert.match(code, /from "octavo"/, name);
});

test("what a page shows is a program, unless it goes on with the cell above, needs a network, or is the kernel's alone", () => {
	const others = blocks.filter((block) => !isProgram(block) && !block.name.startsWith("docs/kernel.md"));
	assert.deepEqual(
		others.filter(({ name, code }) => !name.startsWith("README.md") && !code.includes('"hf:')).map(({ name }) => name),
		[],
	);
	for (const page of ["sdk", "batch", "charts", "experiments", "models", "policies", "time-travel", "trace"]) {
		assert.ok(
			examples.some(({ name }) => name.startsWith(`docs/${page}.md`)),
			page,
		);
	}
});

/** Writes what the pages open: a model with a tokenizer and a chat template, and traces. */
async function writeFilesOfPages(folder: string): Promise<void> {
	const text = readFileSync(join(root, "README.md"), "utf8");
	const bpe = trainBpe(text, 300, ["<|begin|>", "<|end|>"]);
	const chat_template = "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}<|end|>{% endfor %}";
	await writeTiny(join(folder, "Llama-3.2-1B-Instruct"), tinyCheckpoint({ vocabSize: bpe.vocabSize }), {
		"tokenizer.json": bpe.json,
		"tokenizer_config.json": { bos_token: "<|begin|>", eos_token: "<|end|>", chat_template },
	});
	const model = await loadModel();
	using session = model.session({ blockSize: 8, policy: policies.pagedEviction({ budget: 64 }) });
	session.prefillSync(tasks.recall({ seed: 1 }).context);
	session.runSync({ maxTokens: 32, endTokens: [] });
	for (const name of ["step-paged-attention", "run"]) await session.trace.save(join(folder, "out", `${name}.arrow`));
}

// A program inside the package finds "octavo" by its own name, as one outside finds it in node_modules.
const folder = join(root, "dist", "examples");

test("every example is sound TypeScript, as a cell must be", async (t) => {
	const own = join(folder, "checked");
	await mkdir(own, { recursive: true });
	t.after(() => rm(own, { recursive: true, force: true }));
	const paths = examples.map((_, i) => join(own, `example-${i}.ts`));
	await Promise.all(paths.map((path, i) => writeFile(path, examples[i]!.code)));
	// What is declared belongs to the example, and null goes with any type, as in a cell.
	const program = ts.createProgram(paths, {
		...{ target: ts.ScriptTarget.ES2022, lib: ["lib.es2022.d.ts", "lib.esnext.disposable.d.ts"], noEmit: true },
		...{ module: ts.ModuleKind.NodeNext, moduleDetection: ts.ModuleDetectionKind.Force },
		...{ types: ["node"], skipLibCheck: true, strict: false },
	});
	const problems = ts.getPreEmitDiagnostics(program).map(({ file, messageText }) => {
		const name = examples[paths.indexOf(file?.fileName ?? "")]?.name;
		return `${name}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`;
	});
	assert.deepEqual(problems, []);
});

test("every example runs and prints what it says", { concurrency: 2 }, async (t) => {
	await mkdir(folder, { recursive: true });
	t.after(() => rm(folder, { recursive: true, force: true }));
	const cwd = await temporaryFolder(t);
	await writeFilesOfPages(cwd);
	await Promise.all(
		examples.map(({ name, code }, i) =>
			t.test(name, async () => {
				const target = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ES2022 };
				const { outputText } = ts.transpileModule(code, { compilerOptions: target });
				const path = join(folder, `example-${i}.js`);
				await writeFile(path, outputText);
				const { stdout } = await promisify(execFile)(process.execPath, [path], { cwd, timeout: 300_000 });
				const promised = promisedOutput(code);
				if (promised.length > 0) assert.deepEqual(stdout.trim().split("\n"), promised);
			}),
		),
	);
});
