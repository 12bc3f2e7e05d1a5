// Cells over raw ZeroMQ: results, streams, order, errors with the cell's own lines, await, imports.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { type Exchange, KernelClient } from "./helpers/kernel-client.js";

let kernel: KernelClient;
let folder: string;

before(async () => {
	folder = mkdtempSync(join(tmpdir(), "octavo-cells-"));
	const esm = join(folder, "node_modules", "only-esm");
	mkdirSync(esm, { recursive: true });
	const exports = { ".": { import: { types: "./index.d.ts", default: "./index.js" } } };
	writeFileSync(
		join(esm, "package.json"),
		JSON.stringify({ name: "only-esm", version: "1.0.0", type: "module", exports }),
	);
	writeFileSync(
		join(esm, "index.js"),
		"export const answer = await Promise.resolve(42);\nexport default { kind: 'default' };\n",
	);
	writeFileSync(
		join(esm, "index.d.ts"),
		"export declare const answer: number;\ndeclare const _default: { kind: string };\nexport default _default;\n",
	);
	const commonjs = join(folder, "node_modules", "only-cjs");
	mkdirSync(commonjs);
	writeFileSync(
		join(commonjs, "package.json"),
		JSON.stringify({ name: "only-cjs", version: "1.0.0", types: "./index.d.ts" }),
	);
	writeFileSync(join(commonjs, "index.js"), "const late = 'twice'; exports[late] = (n) => 2 * n;\n");
	writeFileSync(join(commonjs, "index.d.ts"), "export declare function twice(n: number): number;\n");
	writeFileSync(join(folder, "helper.ts"), "export const greeting: string = 'from a file';\n");
	kernel = await KernelClient.start({ folder });
});

after(async () => {
	await kernel.stop();
	rmSync(folder, { recursive: true, force: true });
});

const result = ({ iopub }: Exchange): string | undefined =>
	iopub.find(({ type }) => type === "execute_result")?.content.data["text/plain"];

/** Runs a cell that must succeed and gives its result's text. */
async function value(code: string): Promise<string | undefined> {
	const exchange = await kernel.execute(code);
	assert.equal(exchange.reply.status, "ok", exchange.reply.evalue);
	return result(exchange);
}

/** Runs a cell that must fail and gives the traceback without colours. */
async function failure(code: string): Promise<{ ename: string; evalue: string; traceback: string }> {
	const { reply, iopub } = await kernel.execute(code);
	assert.equal(reply.status, "error");
	const published = iopub.find(({ type }) => type === "error");
	assert.deepEqual(published?.content.traceback, reply.traceback);
	return { ...reply, traceback: stripVTControlCharacters(reply.traceback.join("\n")) };
}

test("the last expression is the result, and variables and types stay", async () => {
	assert.equal(await value("const width: number = 6; width * 7"), "42");
	assert.equal(await value("width + 1"), "7");
	assert.equal(await value("const silentCell = 1;"), undefined);
	assert.match(
		(await failure("const text: string = width;")).evalue,
		/Type 'number' is not assignable to type 'string'/,
	);
});

test("a name can be declared again with another type", async () => {
	await value("const again = 1;");
	assert.equal(await value("const again = 'one'; again.toUpperCase()"), "'ONE'");
});

test("busy comes first and idle last, with every output between", async () => {
	const { iopub } = await kernel.execute("console.log('a'); display(1); 2");
	assert.deepEqual(
		iopub.map(({ type, content }) => (type === "status" ? content.execution_state : type)),
		["busy", "execute_input", "stream", "display_data", "execute_result", "idle"],
	);
});

test("streams and displays keep their order", async () => {
	const { iopub } = await kernel.execute(
		"console.log('1'); console.error('2'); display('3'); process.stdout.write('4'); await display('5'); console.log('6')",
	);
	const seen = iopub.flatMap(({ type, content }) =>
		type === "stream"
			? [content.text.trim()]
			: type === "display_data"
				? [content.data["text/plain"].replaceAll("'", "")]
				: [],
	);
	assert.deepEqual(seen, ["1", "2", "3", "4", "5", "6"]);
});

test("10,000 lines all arrive before idle", async () => {
	const { stdout } = await kernel.execute("for (let i = 0; i < 10_000; i++) console.log('line', i)");
	const lines = stdout.trimEnd().split("\n");
	assert.equal(lines.length, 10_000);
	assert.equal(lines.at(-1), "line 9999");
});

test("what another process writes to the descriptors arrives before idle", async () => {
	const { stdout, stderr } = await kernel.execute(
		"import { spawnSync } from 'node:child_process'; spawnSync('sh', ['-c', 'seq 1 5000; echo oops >&2'], { stdio: 'inherit' }).status",
	);
	assert.equal(stdout.trimEnd().split("\n").length, 5000);
	assert.equal(stderr, "oops\n");
});

test("output leaves while a synchronous cell still runs", async () => {
	const end = join(folder, "end");
	const id = kernel.send("execute_request", {
		code: `import { existsSync } from 'node:fs'; console.log('early'); while (!existsSync(${JSON.stringify(end)}));`,
	});
	const early = () => kernel.messages.some(({ parentId, type }) => parentId === id && type === "stream");
	try {
		await kernel.until(early);
	} finally {
		writeFileSync(end, "");
		await kernel.exchange(id);
	}
});

test("cells that wait behind a failed one are aborted, others are not", async () => {
	const code = (text: string) => ({ code: text, stop_on_error: true, allow_stdin: true });
	const ids = [
		kernel.send("execute_request", code("await prompt('Fail? '); throw new Error('stop')")),
		kernel.send("execute_request", code("globalThis.ran = true")),
		kernel.send("kernel_info_request", {}),
	];
	await kernel.answerInput(ids[0]!, "now");
	const [failed, aborted, info] = await Promise.all(ids.map((id) => kernel.exchange(id)));
	assert.equal(failed!.reply.status, "error");
	assert.equal(aborted!.reply.status, "aborted");
	assert.equal(info!.reply.status, "ok");
	assert.deepEqual(
		aborted!.iopub.map(({ content }) => content.execution_state),
		["busy", "idle"],
	);
	assert.equal(await value("'ran' in globalThis"), "false");
});

test("stop_on_error false lets the waiting cells run", async () => {
	const first = kernel.send("execute_request", { code: "throw new Error('go on')", stop_on_error: false });
	const second = kernel.send("execute_request", { code: "'went on'" });
	assert.equal((await kernel.exchange(first)).reply.status, "error");
	assert.equal(result(await kernel.exchange(second)), "'went on'");
});

test("a silent cell says nothing and does not count", async () => {
	const { reply: counted } = await kernel.execute("0");
	const { reply, iopub } = await kernel.execute("console.log('x'); display(1); 5", { silent: true });
	assert.equal(reply.status, "ok");
	assert.equal(reply.execution_count, counted.execution_count);
	assert.deepEqual(
		iopub.map(({ type }) => type),
		["status", "status"],
	);
});

test("store_history false does not count", async () => {
	const { reply: before } = await kernel.execute("0");
	const { reply } = await kernel.execute("'unseen'", { store_history: false });
	assert.equal(reply.execution_count, before.execution_count);
});

test("user expressions are evaluated, each with its own outcome", async () => {
	const { reply } = await kernel.execute("const seven = 7;", {
		user_expressions: { good: "seven * 6", bad: "seven.nope" },
	});
	assert.equal(reply.status, "ok");
	assert.equal(reply.user_expressions.good.data["text/plain"], "42");
	assert.equal(reply.user_expressions.bad.status, "error");
});

test("a thrown error names the cell's own lines, in functions of earlier cells too", async () => {
	const code =
		"interface Unused { a: number }\nfunction deep(n: number): void {\n\tif (n === 0)\n\t\tthrow new RangeError('too deep');\n\tdeep(n - 1);\n}\n";
	await value(code);
	const { ename, evalue, traceback } = await failure("const first = 1;\n\ndeep(1);");
	assert.equal(ename, "RangeError");
	assert.equal(evalue, "too deep");
	const frames = [...traceback.matchAll(/at .*?cell \[\d+\]:(\d+):(\d+)/g)].map(
		([, line, column]) => `${line}:${column}`,
	);
	assert.deepEqual(frames, ["4:9", "5:2", "3:1"]);
	assert.match(traceback, /> 4 \| \t\tthrow new RangeError/);
});

test("an error after an await names the cell's own line", async () => {
	const { traceback } = await failure(
		"const soon = (): Promise<void> => new Promise((done) => setTimeout(done, 1));\nawait soon();\n\nnull as any as { a(): void };\n(undefined as any).call();",
	);
	assert.match(traceback, /cell \[\d+\]:5:/);
});

test("what a failed cell had declared stays, and what it did not reach keeps its value", async () => {
	await value("let kept = 'old';");
	await failure("const reached = 1; throw new Error('halfway'); let kept = 'new';");
	assert.equal(await value("[reached, kept]"), "[ 1, 'old' ]");
});

test("thrown values that are no errors are shown", async () => {
	assert.match((await failure("throw { reason: 'none' }")).evalue, /reason: 'none'/);
});

test("process.exit in a cell is an error, and variables stay", async () => {
	await value("const survivor = 'here';");
	assert.match((await failure("process.exit(3)")).evalue, /process\.exit\(3\) does not end the kernel/);
	assert.equal(await value("survivor"), "'here'");
});

test("an unhandled rejection is reported on stderr and ends nothing", async () => {
	const { stderr } = await kernel.execute(
		"void Promise.reject(new Error('nobody listens')); await new Promise((done) => setTimeout(done, 20));",
	);
	assert.match(stderr, /Unhandled rejection: .*nobody listens/);
	assert.equal(await value("'alive'"), "'alive'");
});

test("await and for await work at the top level, in every form", async () => {
	assert.equal(await value("await Promise.resolve(1)"), "1");
	assert.equal(await value("await (Promise.resolve(2))"), "2");
	assert.equal(await value("(await Promise.all([3, 4]))[1]"), "4");
	assert.equal(await value("await [5][0]"), "5");
	assert.equal(await value("await -6"), "-6");
	const { stdout } = await kernel.execute(
		"async function* three() { yield 1; yield 2; yield 3; }\nfor await (const n of three()) { if (n === 3) break; console.log(n); }",
	);
	assert.equal(stdout, "1\n2\n");
});

test("static imports work: builtins, CommonJS, files, and ES modules with top-level await", async () => {
	assert.equal(await value("import { basename } from 'node:path'; basename('/a/b')"), "'b'");
	assert.equal(await value("import { twice } from 'only-cjs'; twice(21)"), "42");
	assert.equal(await value("import { greeting } from './helper'; greeting"), "'from a file'");
	assert.equal(await value("import only, { answer } from 'only-esm'; [only.kind, answer]"), "[ 'default', 42 ]");
	assert.equal(await value("import * as all from 'only-esm'; all.answer + answer"), "84");
	assert.match((await failure("answer.nope")).evalue, /Property 'nope' does not exist on type 'number'/);
});

test("dynamic imports work", async () => {
	assert.equal(await value("(await import('only-esm')).answer"), "42");
	assert.equal(await value("(await import('node:os')).EOL.length"), "1");
	assert.equal(await value("(await import('./helper')).greeting"), "'from a file'");
});

test("a missing package is an error of the cell that imports it", async () => {
	assert.match((await failure("import { x } from 'there-is-no-such-package'; x")).evalue, /Cannot find module/);
});

test("octavo is imported with its types from any folder, and shares packages with the cell", async () => {
	assert.equal(
		await value("import { OctavoError } from 'octavo'; new OctavoError('ERR_OCTAVO_TEST', 'm').code"),
		"'ERR_OCTAVO_TEST'",
	);
	assert.match(
		(await failure("new OctavoError('ERR_OCTAVO_TEST', 1)")).evalue,
		/not assignable to parameter of type 'string'/,
	);
	const { evalue, traceback } = await failure("throw new OctavoError('ERR_OCTAVO_TEST', 'told')");
	assert.equal(evalue, "[ERR_OCTAVO_TEST] told");
	assert.match(traceback, /OctavoError \[ERR_OCTAVO_TEST\]: told/);
	assert.equal(await value("import { Table } from 'apache-arrow'; typeof Table"), "'function'");
});

test("values of octavo and of its packages keep their types in later cells", async () => {
	await value(
		"import { Trace } from 'octavo'; import { tableFromArrays } from 'apache-arrow';\n" +
			"const table = (trace: Trace) => trace.table('steps'); const made = tableFromArrays({ a: [1, 2] });",
	);
	assert.equal(await value("made.numRows"), "2");
	assert.match((await failure("table(made)")).evalue, /not assignable to parameter of type 'Trace'/);
	assert.match(
		(await failure("const rows: string = (null as any as ReturnType<typeof table>).numRows")).evalue,
		/'number'/,
	);
});
