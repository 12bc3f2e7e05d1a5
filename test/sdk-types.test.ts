// The published types as tslab's own cells see them: TypeScript 5.0.4 and Node10 resolution. Ours are newer in both.

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type TypeScript from "typescript";

const root = fileURLToPath(new URL("../../", import.meta.url));
const ts = createRequire(import.meta.url)("@tslab/typescript-for-tslab") as typeof TypeScript;

// The options with which tslab checks a cell.
const options: TypeScript.CompilerOptions = {
	module: ts.ModuleKind.ESNext,
	moduleResolution: 2,
	target: ts.ScriptTarget.ES2022,
	lib: ["lib.es2022.d.ts"],
	types: ["node"],
	typeRoots: [join(root, "node_modules/@types")],
	noEmit: true,
	skipLibCheck: true,
	strict: true,
	baseUrl: root,
	paths: { octavo: ["dist/sdk/index.d.ts"] },
};

function diagnose(code: string): string[] {
	const cell = join(root, "cell.ts");
	const host = ts.createCompilerHost(options);
	const { readFile, fileExists, getSourceFile } = host;
	host.readFile = (path) => (path === cell ? code : readFile.call(host, path));
	host.fileExists = (path) => path === cell || fileExists.call(host, path);
	host.getSourceFile = (path, ...rest) =>
		path === cell ? ts.createSourceFile(path, code, ts.ScriptTarget.ES2022) : getSourceFile.call(host, path, ...rest);
	const program = ts.createProgram([cell], options, host);
	const diagnostics = [
		...program.getSyntacticDiagnostics(),
		...program.getSemanticDiagnostics(program.getSourceFile(cell)),
	];
	return diagnostics.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n"));
}

const cell = `
	import { chart, loadModel, policies, tasks, Tensor, Trace, type RunResult } from "octavo";
	const model = await loadModel();
	const session = model.session({ blockSize: 16, policy: policies.pagedEviction({ budget: 64 }), seed: 7 });
	const prompt: tasks.RecallPrompt = tasks.recall({ seed: 1 });
	await session.prefill(prompt.context);
	for await (const step of session.steps({ maxTokens: 64 })) if (step.evictions.length > 0) break;
	const breakpoint = session.breakOn("evict", (event) => event.layer === 3);
	const stop: RunResult = await session.run({ maxTokens: 512 });
	const reason: string = stop.reason === "breakpoint" ? stop.event.kind : stop.reason;
	const keys: Tensor = session.layer(3).block(2).keys;
	const id: number | null = session.layer(3).blockTable.get(0)!.block_id;
	const trace: Trace = session.trace;
	const score: number | null = trace.table("evictions").get(0)!.runner_up_score;
	chart.blockMap(trace);
`;

test("it is TypeScript 5.0.4", () => {
	assert.equal(ts.version, "5.0.4");
});

test("a cell that uses the SDK rightly has no errors", () => {
	assert.deepEqual(diagnose(`export {};${cell}`), []);
});

test("types are real: wrong uses are errors", () => {
	const wrong: [string, RegExp][] = [
		["const n: string = session.numTokens;", /'number' is not assignable to type 'string'/],
		["const k: string = keys;", /'Tensor' is not assignable/],
		["session.breakOn('evicted');", /"evicted"/],
		["const s: string = score!;", /'number' is not assignable/],
		["trace.table('evictions').get(0)!.no_such_column;", /no_such_column/],
		["model.session({ bugdet: 3 });", /bugdet/],
		["if (stop.reason === 'paused') {}", /no overlap/],
	];
	for (const [code, message] of wrong) assert.match(diagnose(`export {};${cell}\n${code}`).join("\n"), message, code);
});

test("every published declaration parses", () => {
	const folders = ["dist/sdk", "dist/native"].map((folder) => join(root, folder));
	const files = folders.flatMap((folder) =>
		readdirSync(folder, { recursive: true }).map((file) => join(folder, String(file))),
	);
	const declarations = files.filter((file) => file.endsWith(".d.ts"));
	assert.ok(declarations.length > 30);
	const program = ts.createProgram(declarations, options);
	for (const file of declarations) {
		const found = program.getSyntacticDiagnostics(program.getSourceFile(file));
		assert.deepEqual(
			found.map(({ messageText }) => messageText),
			[],
			file,
		);
	}
});
