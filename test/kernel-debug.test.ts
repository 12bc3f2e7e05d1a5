// The debugger over raw ZeroMQ: breakpoints, steps and stops, as JupyterLab asks for them.

import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { murmur2 } from "../kernel/debug/murmur2.js";
import { DebugClient } from "./helpers/debug-client.js";

let client: DebugClient;
const paths = new Set<string>();

before(async () => {
	client = await DebugClient.start();
	await client.ask("configurationDone");
});

afterEach(async () => {
	for (const path of paths) await client.setBreakpoints(path);
	paths.clear();
	await client.ask("setExceptionBreakpoints", { filters: [] });
});

after(() => client.kernel.stop());

/** Sets breakpoints in a cell, for this test only, and runs it. */
async function runWith(code: string, ...breakpoints: (number | object)[]): Promise<string> {
	paths.add(await client.breakAt(code, ...breakpoints));
	return client.run(code);
}

const places = (frames: { name: string; line: number }[]) => frames.map(({ name, line }) => `${name}:${line}`);

test("kernel_info announces the debugger", async () => {
	const info = await client.kernel.ask("kernel_info_request", {}, "control");
	assert.equal(info.debugger, true);
	assert.deepEqual(info.supported_features, ["debugger", "kernel subshells"]);
});

test("cells' paths carry the hash that JupyterLab computes", async () => {
	// Made with ipykernel's murmur2_x86.
	const known: [string, number][] = [
		["", 3990065800],
		["a", 2167009006],
		["let x = 1", 719486033],
		['const é = "😀";\nx', 3698675938],
		["abcdefg", 3677849364],
	];
	for (const [text, hash] of known) assert.equal(murmur2(text, 0xc70f6907), hash, text);
	const info = await client.ask("debugInfo");
	assert.equal(info.hashMethod, "Murmur2");
	assert.equal(info.hashSeed, 0xc70f6907);
	const { sourcePath } = await client.ask("dumpCell", { code: "let x = 1" });
	assert.equal(sourcePath, `${info.tmpFilePrefix}719486033${info.tmpFileSuffix}`);
	assert.equal(readFileSync(sourcePath, "utf8"), "let x = 1");
	assert.equal((await client.ask("source", { source: { path: sourcePath } })).content, "let x = 1");
});

test("a breakpoint in a function stops there, and steps go in, over and out", async () => {
	const code = [
		"const half = (x: number): number => {",
		"  const y = x / 2;",
		"  return y;",
		"};",
		"",
		"let sum = 0;",
		"sum += half(4);",
		"sum += half(8);",
		"sum;",
	].join("\n");
	const id = await runWith(code, 7);
	const first = await client.stopped();
	assert.equal(first.reason, "breakpoint");
	assert.match(first.frames[0]!.name, /^cell \[\d+\]$/);
	assert.equal(first.frames[0]!.line, 7);
	assert.deepEqual(places((await client.move("stepIn")).frames).slice(0, 1), ["half:2"]);
	const inside = await client.move("next");
	assert.equal(inside.reason, "step");
	assert.deepEqual(
		inside.frames.map(({ line }) => line),
		[3, 7],
	);
	// Back in the caller: first where the call was, then the next statement.
	let outside = await client.move("stepOut");
	assert.equal(outside.frames.length, 1);
	if (outside.frames[0]!.line === 7) outside = await client.move("next");
	assert.equal(outside.frames[0]!.line, 8);
	assert.equal((await client.move("next")).frames[0]!.line, 9);
	const { reply, iopub } = await client.finish(id);
	assert.equal(reply.status, "ok");
	assert.equal(iopub.find(({ type }) => type === "execute_result")?.content.data["text/plain"], "6");
});

test("a breakpoint set after a function was defined stops a later cell that calls it", async () => {
	const code = "const later = (n: number) => {\n  return n + 1;\n};";
	await client.kernel.execute(code);
	paths.add(await client.breakAt(code, 2));
	const id = client.run("later(1)");
	const { frames } = await client.stopped();
	assert.equal(frames[0]!.name, "later");
	assert.equal(frames[0]!.line, 2);
	assert.equal(frames.length, 2);
	assert.notEqual(frames[1]!.source.path, frames[0]!.source.path);
	await client.finish(id);
});

test("breakpoints hold in asynchronous cells, before and after an await, and steps go over it", async () => {
	const code = [
		"const wait = () => new Promise<number>((done) => setTimeout(() => done(7), 5));",
		"const twice = async () => {",
		"  const n = await wait();",
		"  return n * 2;",
		"};",
		"const a = await twice();",
		"const b = a + 1;",
	].join("\n");
	const id = await runWith(code, 3, 4);
	assert.equal((await client.stopped()).frames[0]!.line, 3);
	const { reason, frames } = await client.move("next");
	assert.equal(frames[0]!.line, 4);
	assert.ok(["step", "breakpoint"].includes(reason));
	assert.deepEqual(
		(await client.variables(frames[0]!.id, "Locals")).map(({ value }) => value),
		["7"],
	);
	await client.setBreakpoints([...paths].at(-1)!, 7);
	const behind = await client.move("continue");
	assert.equal(behind.frames[0]!.line, 7);
	assert.equal((await client.finish(id)).reply.status, "ok");
});

test("in a loop: each pass, a condition, a hit count, a message instead of a stop", async () => {
	const code = "let total = 0;\nfor (let i = 0; i < 6; i++) {\n  total += i;\n}\ntotal";
	const id = await runWith(code, 3);
	for (let pass = 0; pass < 3; pass++) {
		const { frames } = pass === 0 ? await client.stopped() : await client.move("continue");
		const found = await client.ask("evaluate", { expression: "[i, total]", frameId: frames[0]!.id });
		assert.equal(found.result, `[ ${pass}, ${[0, 0, 1][pass]} ]`);
	}
	await client.setBreakpoints([...paths][0]!);
	await client.finish(id);

	for (const [breakpoint, i] of [
		[{ line: 3, condition: "i === 4" }, "4"],
		[{ line: 3, hitCondition: "3" }, "2"],
		[{ line: 3, hitCondition: "% 4" }, "3"],
		[{ line: 3, condition: "i % 2 === 1", hitCondition: ">= 2" }, "3"],
	] as const) {
		const again = await runWith(`${code} // ${i}`, breakpoint);
		const { frames } = await client.stopped();
		assert.equal((await client.ask("evaluate", { expression: "i", frameId: frames[0]!.id })).result, i);
		await client.setBreakpoints([...paths].at(-1)!);
		await client.finish(again);
	}

	const printed = await client.kernel.exchange(
		await runWith(`${code} // log`, { line: 3, condition: "i > 3", logMessage: "i is {i}, half {i / 2}" }),
	);
	assert.equal(printed.stdout, "i is 4, half 2\ni is 5, half 2.5\n");
});

test("a condition that fails says so and stops nothing", async () => {
	const { reply, stderr } = await client.kernel.exchange(
		await runWith("let one = 1;\none += 1;\none", { line: 2, condition: "missing > 1" }),
	);
	assert.equal(reply.status, "ok");
	assert.match(stderr, /missing is not defined/);
	const { sourcePath } = await client.ask("dumpCell", { code: "let two = 2;" });
	paths.add(sourcePath);
	const [broken] = await client.setBreakpoints(sourcePath, { line: 1, condition: "two >" });
	assert.equal(broken!.verified, false);
	assert.match(broken!.message ?? "", /two >/);
});

test("a breakpoint on a line without code moves to the next that has some, and says so", async () => {
	const code = "let first = 1;\n\n// a comment\ninterface Shape { side: number }\nfirst += 1;\nfirst";
	const id = await runWith(code, 2);
	assert.equal((await client.stopped()).frames[0]!.line, 5);
	assert.equal(client.events("breakpoint").at(-1).breakpoint.line, 5);
	await client.finish(id);
	const beyond = await client.setBreakpoints([...paths][0]!, 99);
	assert.equal(beyond[0]!.verified, false);
	assert.match(beyond[0]!.message ?? "", /1 to 6/);
});

test("a breakpoint stops in an imported file, and its frames name the file", async () => {
	const path = join(client.kernel.folder, "area.mjs");
	writeFileSync(path, "export function area(side) {\n  const square = side * side;\n  return square;\n}\n");
	paths.add(path);
	assert.equal((await client.setBreakpoints(path, 3))[0]!.verified, true);
	const id = client.run('const { area } = await import("./area.mjs");\narea(3)');
	const { frames } = await client.stopped();
	assert.deepEqual(places(frames.slice(0, 1)), ["area:3"]);
	assert.equal(frames[0]!.source.path, path);
	assert.equal(frames[1]!.line, 2);
	const { modules } = await client.ask("modules");
	assert.ok(modules.some((module: { path: string }) => module.path === path));
	await client.finish(id);
});

test("exceptions stop the cell where they are thrown, by the filter", async () => {
	const code = "const risky = () => {\n  throw new RangeError('too far');\n};\ntry { risky(); } catch {}\nrisky();";
	await client.ask("setExceptionBreakpoints", { filters: ["uncaught"] });
	const id = client.run(code);
	const stop = await client.stopped();
	assert.equal(stop.reason, "exception");
	assert.match(stop.text ?? "", /RangeError: too far/);
	assert.deepEqual(
		stop.frames.map(({ line }) => line),
		[2, 5],
	);
	assert.equal((await client.ask("exceptionInfo", { threadId: 1 })).exceptionId, "RangeError");
	assert.equal((await client.finish(id)).reply.ename, "RangeError");
	await client.ask("setExceptionBreakpoints", { filters: ["all"] });
	const again = client.run(code);
	assert.deepEqual(
		(await client.stopped()).frames.map(({ line }) => line),
		[2, 4],
	);
	assert.equal((await client.move("continue")).frames[1]!.line, 5);
	await client.finish(again);
});

test("the files of dumped cells go with the kernel", async () => {
	const other = await DebugClient.start();
	await other.kernel.execute("const before = 1");
	const { sourcePath } = await other.ask("dumpCell", { code: "1" });
	assert.ok(existsSync(sourcePath));
	await other.kernel.stop();
	assert.equal(existsSync(dirname(sourcePath)), false);
});
