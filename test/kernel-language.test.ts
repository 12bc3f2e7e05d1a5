// Completion, inspection, is_complete, history, kernel_info, comms and debug over raw ZeroMQ.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { KernelClient } from "./helpers/kernel-client.js";

let kernel: KernelClient;

before(async () => {
	kernel = await KernelClient.start();
	await kernel.execute(
		"/**\n * Adds.\n * @param left the one\n */\nfunction addUp(left: number, right: number): number { return left + right; }\n" +
			"interface Pair { alpha: number; beta: string }\nconst pair: Pair = { alpha: 1, beta: '2' };",
	);
});

after(() => kernel.stop());

/** Completes at the place of `|`, counted in code points. */
function complete(marked: string) {
	const cursor_pos = [...marked.slice(0, marked.indexOf("|"))].length;
	return kernel.ask("complete_request", { code: marked.replace("|", ""), cursor_pos });
}

test("kernel_info has what the protocol asks for", async () => {
	for (const channel of ["shell", "control"] as const) {
		const info = await kernel.ask("kernel_info_request", {}, channel);
		assert.equal(info.status, "ok");
		assert.equal(info.protocol_version, "5.5");
		assert.equal(info.implementation, "octavo");
		assert.equal(info.language_info.name, "typescript");
		assert.equal(info.language_info.file_extension, ".ts");
		assert.equal(info.language_info.mimetype, "text/typescript");
		assert.ok(info.banner && info.language_info.codemirror_mode);
	}
});

test("members of earlier cells' variables are completed, with types", async () => {
	const reply = await complete("pair.|");
	assert.deepEqual(reply.matches, ["alpha", "beta"]);
	assert.deepEqual([reply.cursor_start, reply.cursor_end], [5, 5]);
	assert.deepEqual(reply.metadata._jupyter_types_experimental[0], {
		text: "alpha",
		type: "property",
		start: 5,
		end: 5,
	});
	const { matches, cursor_start, cursor_end } = await complete("pair.al|");
	assert.deepEqual([matches, cursor_start, cursor_end], [["alpha"], 5, 7]);
});

test("names of earlier cells and globals are completed", async () => {
	assert.deepEqual((await complete("addU|")).matches, ["addUp"]);
	assert.ok((await complete("displ|")).matches.includes("display"));
});

test("cursor positions are code points, also behind characters of two UTF-16 units", async () => {
	const { matches, cursor_start, cursor_end } = await complete("const 𝒙 = '🙂🙂'; pair.al|");
	assert.deepEqual([matches, cursor_start, cursor_end], [["alpha"], 21, 23]);
	const code = "'🙂🙂🙂'; addUp(1, 2)";
	const { found, data } = await kernel.ask("inspect_request", { code, cursor_pos: 9, detail_level: 0 });
	assert.equal(found, true);
	assert.match(data["text/plain"], /addUp/);
});

test("completion in the middle of a name and of a line replaces what stands there", async () => {
	const { matches, cursor_start } = await complete("const z = pair.a|; z");
	assert.deepEqual(matches, ["alpha"]);
	assert.equal(cursor_start, 15);
});

test("a text asked about again is answered from what it means by now, and runs and fails as ever", async () => {
	await kernel.execute("let shape = { side: 1 };");
	for (let i = 0; i < 3; i++) assert.deepEqual((await complete("shape.|")).matches, ["side"]);
	await kernel.execute("let shape = { radius: 1, centre: [0, 0] };");
	for (let i = 0; i < 3; i++) assert.deepEqual((await complete("shape.|")).matches, ["centre", "radius"]);
	for (let i = 0; i < 3; i++) {
		const code = "const wrong: number = shape.centre";
		assert.deepEqual((await complete(`${code}|`)).matches, ["centre"]);
		assert.deepEqual((await complete(`${code}|`)).matches, ["centre"]);
		assert.match((await kernel.execute(code)).reply.evalue, /not assignable to type 'number'/);
		assert.match((await kernel.execute(code)).reply.evalue, /not assignable to type 'number'/);
	}
	for (let i = 0; i < 3; i++) {
		await complete("shape.radius|");
		const { iopub } = await kernel.execute("shape.radius");
		assert.equal(iopub.find(({ type }) => type === "execute_result")?.content.data["text/plain"], "1");
	}
});

test("a name that is typed on is completed from what its place offers, whatever was asked before", async () => {
	await kernel.execute("let boat = { sail: 1, sailor: 'Ann', oars: 2 };");
	const asked = {
		"boat.|": ["oars", "sail", "sailor"],
		"boat.s|": ["sail", "sailor"],
		"boat.sailo|": ["sailor"],
		"boat.sail|or": ["sailor"],
		"boat.o|": ["oars"],
		"boat.o|; var boat = { oath: 1 }": ["oath"],
		"let pair = boat; boat.o|": ["oars"],
		"pair.a|": ["alpha"],
		"{ let pair = { also: 1 }; pair.a|": ["also"],
		"pair.al|": ["alpha"],
		"pair.toS|": [],
		"const { s| } = boat": ["sail", "sailor"],
		"const { oars, sailo| } = boat": ["sailor"],
		"const { sail, sailo| } = boat": ["sailor"],
		"class Raft { sail = 1; stati|": ["static"],
		"class Raft { sail = 1; static|": [],
		"'|": [],
		"boa|": ["boat"],
	};
	for (const [marked, expected] of Object.entries(asked)) {
		const { matches, cursor_start, cursor_end } = await complete(marked);
		assert.deepEqual(matches.slice(0, 4), expected, marked);
		const at = marked.indexOf("|");
		const [before, behind] = [/[\w$]*$/.exec(marked.slice(0, at))![0], /^\|([\w$]*)/.exec(marked.slice(at))![1]!];
		assert.deepEqual([cursor_start, cursor_end], [at - before.length, at + behind.length], marked);
	}
});

test("a file that changes between two questions changes what is offered", async () => {
	const path = join(kernel.folder, "craft.ts");
	writeFileSync(path, "export const craft = { keel: 1 };");
	const question = 'import { craft } from "./craft"; craft.|';
	assert.deepEqual((await complete(question)).matches, ["keel"]);
	writeFileSync(path, "export const craft = { kayak: 1 };");
	assert.deepEqual((await complete(question)).matches, ["kayak"]);
	writeFileSync(path, "export const craft = { knot: 1 };");
	assert.deepEqual((await complete(question.replace("|", "k|"))).matches, ["knot"]);
});

test("inspection gives signature and documentation", async () => {
	const { status, found, data } = await kernel.ask("inspect_request", {
		code: "addUp(1, 2)",
		cursor_pos: 3,
		detail_level: 0,
	});
	assert.deepEqual([status, found], ["ok", true]);
	assert.match(data["text/plain"], /function addUp\(left: number, right: number\): number/);
	assert.match(data["text/plain"], /Adds\./);
	assert.match(data["text/markdown"], /^```typescript\nfunction addUp/);
	assert.match(data["text/markdown"], /left the one/);
});

test("libraries are documented: functions, members, what members inherit, packages", async () => {
	await kernel.execute(
		"import fs from 'node:fs'; import { Readable } from 'node:stream'; import * as arrow from 'apache-arrow';" +
			"const source = Readable.from([1]); class Cache extends Map<string, number> { override get(key: string) { return 1; } }" +
			"const cache = new Cache();",
	);
	const documented = {
		"fs.readFileSync": /Returns the contents of the `path`/,
		"[1].flatMap": /Calls a defined callback function on each element/,
		"cache.get": /Returns a specified element from the Map object/,
		"source.on": /Adds the `listener` function to the end/,
		"arrow.tableFromArrays": /Creates a new Table from an object of typed arrays/,
	};
	for (const [code, expected] of Object.entries(documented)) {
		const { data } = await kernel.ask("inspect_request", { code, cursor_pos: code.length, detail_level: 0 });
		assert.match(data["text/plain"], expected, code);
	}
});

test("inspection works behind a name, and finds nothing where nothing is", async () => {
	assert.equal((await kernel.ask("inspect_request", { code: "addUp", cursor_pos: 5 })).found, true);
	assert.equal((await kernel.ask("inspect_request", { code: "addUp(", cursor_pos: 6 })).found, true);
	const nothing = await kernel.ask("inspect_request", { code: "  ", cursor_pos: 1 });
	assert.deepEqual([nothing.status, nothing.found, nothing.data], ["ok", false, {}]);
});

test("is_complete tells complete, incomplete with indent, and invalid code", async () => {
	const ask = (code: string) => kernel.ask("is_complete_request", { code });
	assert.deepEqual(await ask("1 + 1"), { status: "complete" });
	assert.deepEqual(await ask("function f() {"), { status: "incomplete", indent: "  " });
	assert.equal((await ask("const text = `open")).status, "incomplete");
	assert.equal((await ask("for await (const x of y) {")).status, "incomplete");
	assert.equal((await ask("f(1,")).status, "incomplete");
	assert.equal((await ask("const = 5")).status, "invalid");
	assert.equal((await ask("await f()")).status, "complete");
	assert.equal((await ask("#!/usr/bin/env node\n1 + 1")).status, "complete");
	assert.equal((await ask("")).status, "complete");
});

test("history gives tail, range and search", async () => {
	for (const code of ["'first entry'", "'second entry'", "'second entry'"]) await kernel.execute(code);
	await kernel.execute("'not stored'", { store_history: false });
	const ask = async (content: object) =>
		(await kernel.ask("history_request", { output: false, raw: true, ...content })).history;
	const tail = await ask({ hist_access_type: "tail", n: 2 });
	assert.deepEqual(
		tail.map(([, , code]: [number, number, string]) => code),
		["'second entry'", "'second entry'"],
	);
	const [, line] = tail[0];
	assert.deepEqual(await ask({ hist_access_type: "range", session: 0, start: line, stop: line + 1 }), [tail[0]]);
	assert.deepEqual(await ask({ hist_access_type: "range", session: 7, start: 0 }), []);
	const found = await ask({ hist_access_type: "search", pattern: "*entry*", n: 10 });
	assert.equal(found.length, 3);
	assert.equal((await ask({ hist_access_type: "search", pattern: "*entry*", n: 10, unique: true })).length, 2);
	assert.deepEqual((await ask({ hist_access_type: "search", pattern: "'f?rst*", n: 10 }))[0][2], "'first entry'");
	const [entry] = await ask({ hist_access_type: "tail", n: 1, output: true });
	assert.deepEqual(entry[2], ["'second entry'", "'second entry'"]);
});

test("a comm of an unknown target is closed, and comm_info lists none", async () => {
	const id = kernel.send("comm_open", { comm_id: "c1", target_name: "nobody", data: {} });
	const close = () => kernel.messages.find(({ type, parentId }) => type === "comm_close" && parentId === id);
	await kernel.until(() => close() !== undefined);
	assert.equal(close()!.content.comm_id, "c1");
	assert.deepEqual((await kernel.ask("comm_info_request", {})).comms, {});
});
