// Type checks from cell to cell, over raw ZeroMQ: the checker is kept between cells, and must not remember what it may not.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { KernelClient } from "./helpers/kernel-client.js";

let kernel: KernelClient;

before(async () => {
	kernel = await KernelClient.start();
});

after(() => kernel.stop());

/** Runs a cell and gives its result's text, or the error's. */
async function outcome(code: string): Promise<string | undefined> {
	const { reply, iopub } = await kernel.execute(code);
	if (reply.status === "error") return `${reply.ename}: ${reply.evalue}`;
	return iopub.find(({ type }) => type === "execute_result")?.content.data["text/plain"];
}

test("the same wrong cell is refused every time", async () => {
	const code = "const count: string = 1; count";
	for (let time = 0; time < 3; time++) assert.match((await outcome(code))!, /^TypeScriptError.*'number'.*'string'/);
});

test("an error that completion has met first is still an error", async () => {
	const code = "const total: string = 1; tot";
	await kernel.ask("complete_request", { code, cursor_pos: code.length });
	await kernel.ask("inspect_request", { code, cursor_pos: 8, detail_level: 0 });
	assert.match((await outcome("const total: string = 1; total"))!, /^TypeScriptError/);
});

test("@ts-expect-error counts errors of its own cell alone", async () => {
	assert.equal(await outcome("// @ts-expect-error\nconst first: string = 1; first"), "1");
	assert.match((await outcome("// @ts-expect-error\nconst first: string = 's'; first"))!, /Unused '@ts-expect-error'/);
});

test("types follow a name that is declared again, also in what was declared with it", async () => {
	await outcome("interface Shape { width: number }\nconst shape: Shape = { width: 2 };");
	assert.equal(await outcome("shape.width.toFixed(1)"), "'2.0'");
	await outcome("interface Shape { width: string }\nconst other: Shape = { width: 'w' };");
	assert.equal(await outcome("other.width.toUpperCase()"), "'W'");
	assert.match((await outcome("const wrong: Shape = { width: 1 };"))!, /not assignable/);
	assert.equal(await outcome("enum Color { Red, Green }\nColor.Green"), "1");
	assert.equal(await outcome("enum Color { Blue, Red }\nColor.Red"), "1");
	assert.match((await outcome("Color.Green"))!, /does not exist/);
});

test("checks stay right over more cells than a checker is kept for", async () => {
	await outcome("let sum = 0;");
	for (let index = 0; index < 250; index++) await outcome(`sum += ${index};`);
	assert.equal(await outcome("sum"), String((249 * 250) / 2));
	assert.match((await outcome("sum.length"))!, /does not exist/);
});

test("assigning to an earlier cell's variable is seen by that cell's functions", async () => {
	await outcome("let level = 1; const readLevel = () => level; function setLevel(to: number) { level = to; }");
	assert.equal(await outcome("level = 7; readLevel()"), "7");
	assert.equal(await outcome("level++; level += 2; [level, readLevel()]"), "[ 10, 10 ]");
	assert.equal(await outcome("setLevel(100); level"), "100");
});

test("declaring a name again makes another variable", async () => {
	await outcome("let owner = 'first'; const readOwner = () => owner;");
	assert.equal(await outcome("let owner = 2; readOwner()"), "'first'");
	assert.equal(await outcome("owner = 3; [owner, readOwner()]"), "[ 3, 'first' ]");
});

test("earlier cells' variables are reached in shorthand properties, patterns, closures and nested scopes", async () => {
	await outcome("const depth = 4; const { left, right: [middle] } = { left: 1, right: [2] };");
	assert.equal(await outcome("({ depth, left, middle })"), "{ depth: 4, left: 1, middle: 2 }");
	assert.equal(await outcome("((depth: number) => ({ depth }))(9)"), "{ depth: 9 }");
	assert.equal(await outcome("[1].map((one) => one + depth)[0]"), "5");
	assert.equal(await outcome("depth: for (;;) { break depth }\ndepth"), "4");
});

test("what Node.js 20 has as globals has types", async () => {
	const code =
		"const id: string = crypto.randomUUID();\nconst file = new File(['abc'], 'a.txt');\n" +
		"[id.length, file.size, new CustomEvent('x').type, [3, 1].toSorted()[0]].join()";
	assert.equal(await outcome(code), "'36,3,x,1'");
});
