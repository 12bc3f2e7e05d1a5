// The language of cells beyond plain declarations: `using`, `export`, `import.meta`, and what newer compilers infer.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { stripVTControlCharacters } from "node:util";
import { KernelClient } from "./helpers/kernel-client.js";

let kernel: KernelClient;
let folder: string;

before(async () => {
	folder = mkdtempSync(join(tmpdir(), "octavo-syntax-"));
	kernel = await KernelClient.start({ folder });
	await run(
		"const held = (name: string) => ({ name, [Symbol.dispose]() { console.log('-' + name); } });\n" +
			"const later = (name: string) => ({ name, async [Symbol.asyncDispose]() { await null; console.log('-' + name); } });",
	);
});

after(async () => {
	await kernel.stop();
	rmSync(folder, { recursive: true, force: true });
});

/** Runs a cell that succeeds, and gives its result's text and what it printed. */
async function run(code: string): Promise<{ value: string | undefined; printed: string }> {
	const { reply, iopub, stdout } = await kernel.execute(code);
	assert.equal(reply.status, "ok", reply.evalue);
	return { value: iopub.find(({ type }) => type === "execute_result")?.content.data["text/plain"], printed: stdout };
}

test("using at the top level: disposed of when the cell has ended, the last first, after its value is shown", async () => {
	const { value, printed } = await run(
		"using a = held('a'), b = held('b');\nawait using c = later('c');\nusing none = null;\nconsole.log('in');\n" +
			"({ [Symbol.for('Jupyter.display')]: () => { console.log('shown'); return { 'text/plain': a.name + b.name + c.name }; } })",
	);
	assert.equal(value, "abc");
	assert.equal(printed, "in\nshown\n-c\n-b\n-a\n");
	assert.equal((await run("a.name")).value, "'a'", "the name stays");
	assert.equal((await run("1")).printed, "");
});

test("using in functions, blocks and loops", async () => {
	assert.equal(
		(await run("function f() { using x = held('x'); console.log('f'); return 1; }\nf()")).printed,
		"f\n-x\n",
	);
	assert.equal(
		(await run("{ await using y = later('y'); console.log('block'); }\nconsole.log('out')")).printed,
		"block\n-y\nout\n",
	);
	assert.equal((await run("for (using z of [held('1'), held('2')]) console.log(z.name);")).printed, "1\n-1\n2\n-2\n");
});

test("a cell that fails or is interrupted disposes all the same", async () => {
	const failed = await kernel.execute("using a = held('a');\nthrow new RangeError('no');");
	assert.deepEqual([failed.reply.ename, failed.reply.evalue, failed.stdout], ["RangeError", "no", "-a\n"]);
	for (const wait of ["while (true);", "await new Promise(() => {});"]) {
		const id = kernel.send("execute_request", { code: `using a = held('a');\nconsole.log('runs');\n${wait}` });
		await kernel.until(() => kernel.messages.some((one) => one.parentId === id && one.type === "stream"));
		await kernel.ask("interrupt_request", {}, "control");
		const { reply, stdout } = await kernel.exchange(id);
		assert.deepEqual([reply.ename, stdout], ["Interrupted", "runs\n-a\n"], wait);
	}
});

test("what fails while disposing is the cell's error; both are kept", async () => {
	const bad = "using bad = { [Symbol.dispose]() { throw new Error('stuck'); } };";
	assert.equal((await kernel.execute(bad)).reply.evalue, "stuck");
	const { reply } = await kernel.execute(`${bad}\nthrow new Error('first');`);
	assert.equal(reply.ename, "SuppressedError");
	assert.match(reply.evalue, /first/);
	assert.equal(
		(
			await run(
				"const both = new SuppressedError(1, 2, 'm'), bare = (SuppressedError as any)(3, 4);\n" +
					"[both instanceof SuppressedError, bare instanceof Error, both.suppressed, bare.error, String(both)].join()",
			)
		).value,
		"'true,true,2,3,SuppressedError: m'",
	);
	assert.match((await kernel.execute("new DisposableStack().defer(5 as any)")).reply.evalue, /Expected a function/);
	assert.match((await kernel.execute("using five = 5 as any;")).reply.evalue, /Expected a value with a method/);
	assert.match((await kernel.execute("using five = 5;")).reply.evalue, /Symbol\.dispose/);
});

test("stacks of resources are there on every Node.js", async () => {
	const code =
		"const stack = new DisposableStack();\nstack.use(held('used')); stack.adopt(7, (n) => console.log('-' + n));\n" +
		"const moved = stack.move();\nmoved.defer(() => console.log('-deferred'));\nmoved.dispose();\nmoved.dispose();\n" +
		"{ await using all = new AsyncDisposableStack(); all.use(later('async')); all.use(held('sync')); }\n" +
		"[stack.disposed, moved.disposed].join()";
	const { value, printed } = await run(code);
	assert.equal(value, "'true,true'");
	assert.equal(printed, "-deferred\n-7\n-used\n-sync\n-async\n");
});

test("export before a declaration changes nothing, and positions stay", async () => {
	const code =
		"export const q: number = 3;\nexport default function one() { return 1; }\nexport { q };\n" +
		"export interface Point { x: number }\nexport async function two(): Promise<number> { return 2; }\nq + one() + await two()";
	assert.equal((await run(code)).value, "6");
	assert.equal((await run("const at: Point = { x: q }; at.x")).value, "3");
	assert.equal((await run("export const text = 'no export here';\ntext")).value, "'no export here'");
	for (const value of ["class { a = 1 }", "function () {}", "async function* () {}", "5", "{ a: 1 }"]) {
		assert.equal((await run(`let before = 1;\nexport default ${value}\nbefore + 1`)).value, "2", value);
	}
	const { reply: within } = await kernel.execute("export default class { a: string = 5 }");
	assert.match(within.evalue, /:1:24 - Type 'number'/);
	const { reply } = await kernel.execute("export const wrong: string = 5;");
	assert.match(reply.evalue, /:1:14 - Type 'number'/);
});

test("a first line that names an interpreter is a comment", async () => {
	assert.equal((await run("#!/usr/bin/env -S npx tsx\nexport const x = 2;\nx")).value, "2");
	assert.match((await kernel.execute("#!/bin/sh\nlet a: string = 5;")).reply.evalue, /:2:5 - Type 'number'/);
	assert.match((await kernel.execute("1;\n#!/bin/sh")).reply.evalue, /:2:/);
});

test("import.meta in a cell and in a file", async () => {
	const url = pathToFileURL(join(folder, "cell.ts")).href;
	assert.equal((await run("[import.meta.url, import.meta.dirname].join()")).value, `'${url},${folder}'`);
	assert.equal((await run("import.meta.resolve('./a.js')")).value, `'${pathToFileURL(join(folder, "a.js")).href}'`);
	assert.equal((await run("import.meta.resolve('fs')")).value, "'node:fs'");
	writeFileSync(join(folder, "meta.ts"), "export const file = import.meta.filename;\n");
	assert.equal((await run("import { file } from './meta'; file")).value, `'${join(folder, "meta.ts")}'`);
});

test("types that newer compilers infer", async () => {
	assert.equal(
		(await run("const some: number[] = [1, undefined].filter((one) => one !== undefined); some.length")).value,
		"1",
	);
	assert.equal(
		(
			await run(
				"function pick<const T extends readonly string[]>(all: T, one: NoInfer<T[number]>) { return one; }\npick(['a', 'b'], 'a')",
			)
		).value,
		"'a'",
	);
	const { reply } = await kernel.execute("pick(['a', 'b'], 'c')");
	assert.match(reply.evalue, /not assignable/);
});

test("regular expressions with every flag that Node.js knows", async () => {
	assert.equal(
		(await run("[/[\\p{L}--[a-z]]/v.test('A'), /[\\p{L}--[a-z]]/v.test('a'), /a/dgimsuy.flags].join()")).value,
		"'true,false,dgimsuy'",
	);
	assert.equal((await kernel.execute("/a/gg")).reply.ename, "SyntaxError");
});

test("var inside blocks, loops and try is seen by later cells, with its type", async () => {
	await run(
		"class Kept { v = 1 }\nfor (var k of [1, 2, 3]) { var { length, at: [first] } = { length: 'x', at: [k] }; }",
	);
	assert.equal((await run("[k.toFixed(1), length.toUpperCase(), first].join()")).value, "'3.0,X,3'");
	await run("try { if (k) { var kept = new Kept(), same = <T,>(x: T) => x; } } catch {}");
	assert.equal((await run("kept = new Kept(); same(kept).v")).value, "1");
	assert.match((await kernel.execute("const text: string = same(kept);")).reply.evalue, /'Kept' is not assignable/);
	await run("{ class Gone { z = 3 }\n\tvar gone = new Gone(); }");
	assert.equal((await run("gone.z")).value, "3", "a type without a name outside is any");
	await run("{ var k2 = 1; }\nvar k = 'now text';");
	assert.equal((await run("k.length + k2")).value, "9");
	assert.equal((await kernel.execute("{ var early = 2;\n\tthrow new Error('no'); }")).reply.evalue, "no");
	assert.equal((await run("early")).value, "2");
	await run("function f() { var inside = 1; return inside; }\n{ let block = 1; }");
	for (const name of ["inside", "block"]) assert.match((await kernel.execute(name)).reply.evalue, /Cannot find name/);
});

test("what cannot be read is told once, at a place within the cell, as its author wrote it", async () => {
	const errorsOf = async (code: string) => {
		const { reply } = await kernel.execute(code);
		assert.equal(reply.ename, "SyntaxError");
		return stripVTControlCharacters(reply.traceback.join("\n"))
			.match(/TS\d+: .*\n.*$/gm)
			?.map((text) => text.replace(/^TS\d+: |cell \[\d+\]:|\n {4}at/g, ""));
	};
	assert.deepEqual(await errorsOf("function open() {\n\treturn 1;"), ["'}' expected. 2:11"]);
	assert.deepEqual(await errorsOf("const text = `open\n"), ["Unterminated template literal. 2:1"]);
	assert.deepEqual(await errorsOf("let x = 5 5;\nlet y: string = x;"), ["',' expected. 1:11"]);
});

test("namespaces and what cells add to the globals stay for every later cell, until they are replaced", async () => {
	await run("namespace Units { export const metre = 1; export type Name = string; }");
	await run("declare global { interface Array<T> { last(): T }\n\tvar shared: number; }");
	await run("Array.prototype.last = function () { return this[this.length - 1]; };\nglobalThis.shared = 3;");
	assert.equal((await run("const { length } = [shared, { shared }.shared, new Array(2)]; shared + length")).value, "6");
	for (let time = 0; time < 2; time++) {
		assert.equal((await run("const name: Units.Name = 'm'; name.length + Units.metre + [1, 2].last()")).value, "4");
		assert.match((await kernel.execute("globalThis.shared = 'text';")).reply.evalue, /'string' is not assignable/);
	}
	await run("namespace Units { export const foot = 3; }");
	await run("declare global { var other: boolean; }");
	assert.match((await kernel.execute("globalThis.shared = 'text';")).reply.evalue, /not assignable/, "beside it");
	await run("declare global { interface Array<T> { last(): number }\n\tvar shared: string; }");
	assert.equal((await run("['a'].last().toFixed; Units.foot")).value, "3");
	assert.match((await kernel.execute("Units.metre")).reply.evalue, /'metre' does not exist/);
	assert.equal((await run("globalThis.shared = 'text'")).value, "'text'");
	await run("interface Own { depth: number }");
	await run("declare global { var own: Own; }\nglobalThis.own = { depth: 2 };");
	assert.equal((await run("1; own.depth.toFixed(1)")).value, "'2.0'", "what names a cell's own type");
	await run("import { Hash as Sum } from 'node:crypto'; declare global { var sum: Sum | undefined; }");
	assert.equal((await run("2; typeof globalThis.sum?.digest + own.depth")).value, "'undefined2'");
});
