// The debugger in TypeScript files beside the notebook, over raw ZeroMQ: lines, frames and steps are those of the source,
// whatever the compiler made of it.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { DebugClient } from "./helpers/debug-client.js";

let client: DebugClient;
let folder: string;
const paths = new Set<string>();

const helper = [
	"import type { Point } from './types';",
	"import { half } from './deep';",
	"",
	"/** Not in what runs. */",
	"interface Unused {",
	"\tname: string;",
	"}",
	"",
	"export function length({ x, y }: Point): number {",
	"\tconst square: number = x * x + y * y;",
	"",
	"\treturn Math.sqrt(square);",
	"}",
	"",
	"export const loaded: number = half(84);",
	"",
	"export async function later(point: Point): Promise<number> {",
	"\tawait Promise.resolve();",
	"\treturn length(point);",
	"}",
];

before(async () => {
	folder = mkdtempSync(join(tmpdir(), "octavo-debug-files-"));
	writeFileSync(join(folder, "types.ts"), "export interface Point { x: number; y: number }\n");
	writeFileSync(
		join(folder, "deep.ts"),
		"type Num = number;\n\nexport function half(n: Num): Num {\n\treturn n / 2;\n}\n",
	);
	writeFileSync(join(folder, "helper.ts"), helper.join("\n"));
	client = await DebugClient.start({ folder });
	await client.ask("configurationDone");
});

afterEach(async () => {
	for (const path of paths) await client.setBreakpoints(path);
	paths.clear();
});

after(async () => {
	await client.kernel.stop();
	rmSync(folder, { recursive: true, force: true });
});

/** Sets breakpoints in a file, for this test only. */
async function breakIn(name: string, ...lines: number[]) {
	const path = join(folder, name);
	paths.add(path);
	return client.setBreakpoints(path, ...lines);
}

const places = (frames: { name: string; line: number; source: { path: string } }[]) =>
	frames.map(({ name, line, source }) => `${name.split("/").at(-1)}:${line}:${source.path.split("/").at(-1)}`);

test("a breakpoint set before the file is loaded stops its top level, and steps go into what it imports and out", async () => {
	const [set] = await breakIn("helper.ts", 15);
	assert.equal(set!.verified, true, set!.message);
	const id = client.run("import { later, length, loaded } from './helper';\nloaded");
	const { reason, frames } = await client.stopped();
	assert.equal(reason, "breakpoint");
	const [first, second] = places(frames);
	assert.equal(first, "helper.ts:15:helper.ts");
	assert.match(second!, /^cell \[\d+\]:1:cell-\d+\.ts$/);
	assert.equal(frames.length, 2, places(frames).join());
	assert.equal(places((await client.move("stepIn")).frames)[0], "half:4:deep.ts");
	// Behind the call no place is left in the file.
	assert.match(places((await client.move("stepOut")).frames)[0]!, /^cell \[\d+\]:2:/);
	const { iopub } = await client.finish(id);
	assert.equal(iopub.find(({ type }) => type === "execute_result")?.content.data["text/plain"], "42");
});

test("breakpoints in a loaded file: functions, over an await, with the source's variables and its line moved to code", async () => {
	const [kept, moved] = await breakIn("helper.ts", 10, 18);
	assert.deepEqual([kept!.line, kept!.verified, moved!.line], [10, true, 18]);
	const [none] = await breakIn("helper.ts", 4);
	assert.equal(none!.verified, true);
	assert.equal(none!.line, 9, "a comment's line gives way to the next that has code");
	await breakIn("helper.ts", 10, 18);
	const id = client.run("const at = await later({ x: 3, y: 4 });\nat");
	const first = await client.stopped();
	assert.equal(places(first.frames)[0], "later:18:helper.ts");
	assert.equal(places((await client.move("next")).frames)[0], "later:19:helper.ts");
	const second = await client.move("continue");
	assert.deepEqual(places(second.frames).slice(0, 2), ["length:10:helper.ts", "later:19:helper.ts"]);
	assert.equal(places((await client.move("next")).frames)[0], "length:12:helper.ts");
	const top = (await client.ask("stackTrace", { threadId: 1 })).stackFrames[0];
	const locals = await client.variables(top.id, "Locals");
	assert.equal(locals.find(({ name }) => name === "square")?.value, "25");
	assert.equal((await client.ask("evaluate", { expression: "square + 1", frameId: top.id })).result, "26");
	const { iopub } = await client.finish(id);
	assert.equal(iopub.find(({ type }) => type === "execute_result")?.content.data["text/plain"], "5");
});

test("a file that has changed stops where its new text says", async () => {
	writeFileSync(
		join(folder, "deep.ts"),
		"// One\n// two\n// three\nexport function half(n: number): number {\n\tconst y = n / 2;\n\treturn y;\n}\n",
	);
	await breakIn("deep.ts", 6);
	const id = client.run("import { half } from './deep';\nhalf(10)");
	const { frames } = await client.stopped();
	assert.equal(places(frames)[0], "half:6:deep.ts");
	const { content } = await client.ask("source", { source: { path: frames[0]!.source.path } });
	assert.match(content, /^\/\/ One/);
	await client.finish(id);
});

test("a JavaScript file that cells import stops at the lines of its source", async () => {
	// Each line is one that the compiled text, whose lines are others, would stop at by mistake.
	const steps = Array.from({ length: 8 }, (_, i) => `\tn += ${i};`);
	writeFileSync(join(folder, "plain.js"), ["export function sum(n) {", ...steps, "\treturn n;", "}", ""].join("\n"));
	const [set] = await breakIn("plain.js", 6);
	assert.equal(set!.verified, true);
	const id = client.run("import { sum } from './plain.js';\nsum(0)");
	assert.equal(places((await client.stopped()).frames)[0], "sum:6:plain.js");
	assert.equal(places((await client.move("next")).frames)[0], "sum:7:plain.js");
	await client.finish(id);
});

test("a line behind the file's end and a file that is not there are not verified", async () => {
	assert.match((await breakIn("helper.ts", 99))[0]!.message!, /Expected a line from 1 to 20 but received 99/);
	assert.equal((await breakIn("nowhere.ts", 1))[0]!.verified, false);
});

test("a debugger that comes after the file was loaded finds it", async () => {
	await client.ask("disconnect", { restart: false });
	await client.ask("attach");
	await breakIn("helper.ts", 12);
	const id = client.run("length({ x: 6, y: 8 })");
	assert.equal(places((await client.stopped()).frames)[0], "length:12:helper.ts");
	const { iopub } = await client.finish(id);
	assert.equal(iopub.find(({ type }) => type === "execute_result")?.content.data["text/plain"], "10");
});

test("a cell that is a module stops at the lines of that cell", async () => {
	const module =
		"/** @module counted */\nexport function count(n: number): number {\n\tconst next = n + 1;\n\treturn next;\n}\n";
	const path = await client.breakAt(module, 3);
	paths.add(path);
	assert.equal((await client.kernel.execute(module)).reply.status, "ok");
	const id = client.run("import { count } from './counted';\ncount(4)");
	const { frames } = await client.stopped();
	assert.deepEqual([frames[0]!.name, frames[0]!.line, frames[0]!.source.path], ["count", 3, path]);
	assert.equal((await client.ask("source", { source: { path } })).content, module);
	assert.equal((await client.finish(id)).reply.status, "ok");
});
