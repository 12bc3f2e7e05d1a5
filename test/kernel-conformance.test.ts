// What the protocol asks of any kernel, as a stranger would look at it: one table row a check. The shape of every message
// is looked at by the client itself (helpers/message-checks).

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Exchange, KernelClient } from "./helpers/kernel-client.js";
import { checkedMessages } from "./helpers/message-checks.js";

let kernel: KernelClient;
let checks = 0;

before(async () => {
	kernel = await KernelClient.start();
	await kernel.execute(
		"const conformance = { alpha: 1, beta: 'two' };\n/** Doubles. */\nfunction double(n: number) { return 2 * n; }",
	);
});

after(async () => {
	await kernel.stop();
	console.log(`conformance: ${checks} checks, ${checkedMessages()} messages against their shapes`);
});

/** One check: a test by its name. */
function check(name: string, run: () => Promise<void>): void {
	checks++;
	test(name, run);
}

const resultOf = ({ iopub }: Exchange) => iopub.find(({ type }) => type === "execute_result")?.content.data;
const states = ({ iopub }: Exchange) =>
	iopub.map(({ type, content }) => (type === "status" ? content.execution_state : type));

const requests: [string, object][] = [
	["kernel_info_request", {}],
	["execute_request", { code: "1" }],
	["execute_request", { code: "" }],
	["execute_request", { code: "throw new Error('no')" }],
	["complete_request", { code: "conformance.", cursor_pos: 12 }],
	["inspect_request", { code: "double", cursor_pos: 3, detail_level: 0 }],
	["inspect_request", { code: "double", cursor_pos: 3, detail_level: 1 }],
	["is_complete_request", { code: "1 +" }],
	["history_request", { hist_access_type: "tail", n: 3, output: false, raw: true }],
	["history_request", { hist_access_type: "range", session: 0, start: 1, stop: 3, output: true, raw: true }],
	["history_request", { hist_access_type: "search", pattern: "*", n: 3, output: false, raw: false, unique: true }],
	["comm_info_request", {}],
	["comm_info_request", { target_name: "nobody" }],
	["interrupt_request", {}],
];

for (const [type, content] of requests) {
	for (const channel of ["shell", "control"] as const) {
		if (channel === "control" && type === "execute_request") continue;
		check(`${type} ${JSON.stringify(content)} on ${channel}: busy, one reply there, idle`, async () => {
			const exchange = await kernel.exchange(kernel.send(type, content, channel));
			assert.equal(states(exchange)[0], "busy");
			assert.equal(states(exchange).at(-1), "idle");
			assert.ok(["ok", "error", "complete", "incomplete", "invalid"].includes(exchange.reply.status));
		});
	}
}

check("a debug request on control has busy, a response and idle", async () => {
	const id = kernel.send("debug_request", { type: "request", seq: 1, command: "debugInfo", arguments: {} }, "control");
	const exchange = await kernel.exchange(id);
	assert.deepEqual(states(exchange), ["busy", "idle"]);
	assert.deepEqual(
		[exchange.reply.command, exchange.reply.request_seq, exchange.reply.success],
		["debugInfo", 1, true],
	);
});

const cells: Record<string, [code: string, plain: string | undefined]> = {
	"top-level await": ["await Promise.resolve(7)", "7"],
	"top-level for await": ["let sum = 0; for await (const n of [1, Promise.resolve(2)]) sum += n; sum", "3"],
	"an await in parentheses": ["(await Promise.resolve([1]))[0]", "1"],
	"an arrow with await of its own is no top-level await": ["(async () => await 5).constructor.name", "'AsyncFunction'"],
	generics: ["function first<T>(list: T[]): T { return list[0]; } first([3, 4])", "3"],
	enums: ["enum Colour { Red, Green } Colour[1]", "'Green'"],
	"private fields and accessors": ["class Box { #n = 4; get n() { return this.#n; } } new Box().n", "4"],
	satisfies: ["const kept = { a: 1 } satisfies Record<string, number>; kept.a", "1"],
	"decorator-free classes with static blocks": ["class S { static n = 0; static { S.n = 9; } } S.n", "9"],
	"optional chaining and nullish": ["(undefined as any)?.x ?? 'none'", "'none'"],
	"big integers": ["2n ** 64n", "18446744073709551616n"],
	"labelled loops": ["let steps = 0; outer: for (;;) { for (;;) { steps++; break outer; } } steps", "1"],
	"destructuring with defaults": ["const { alpha, gamma = 3 } = conformance as any; alpha + gamma", "4"],
	"template literals": [`\`\${double(4)}!\``, "'8!'"],
	"regular expressions with named groups": ["/(?<year>\\d+)/u.exec('in 1999')!.groups!.year", "'1999'"],
	"type-only cells": ["interface Shape { side: number } type Shapes = Shape[];", undefined],
	"a type of an earlier cell": ["const square: Shape = { side: 2 }; square.side", "2"],
	generators: ["[...(function* () { yield 1; yield 2; })()]", "[ 1, 2 ]"],
	"a semicolon does not hide the result": ["40 + 2;", "42"],
	"undefined is no result": ["undefined", undefined],
	"null is a result": ["null", "null"],
	"a comment only": ["// nothing", undefined],
	"a declaration is no result": ["const unseen = 5;", undefined],
	"an assignment is a result": ["let moved; moved = 5", "5"],
	"carriage returns": ["1;\r\n2", "2"],
	"characters beyond the first plane": ["const 𝒙 = '🙂'; 𝒙.length", "2"],
	"dynamic import": ["(await import('node:path')).sep", "'/'"],
	"import of a builtin": ["import { join } from 'node:path'; join('a', 'b')", "'a/b'"],
	"globals stay": ["(globalThis as any).stay = 1; stay = 2; declare var stay: number; stay", "2"],
};

for (const [name, [code, plain]] of Object.entries(cells)) {
	check(`language: ${name}`, async () => {
		const exchange = await kernel.execute(code);
		assert.equal(exchange.reply.status, "ok", exchange.reply.evalue);
		assert.equal(resultOf(exchange)?.["text/plain"], plain);
	});
}

/** An empty name: the compiler finds it, and any name will do. */
const failures: Record<string, [code: string, ename: string, evalue: RegExp]> = {
	"a thrown error": ["throw new RangeError('too far')", "RangeError", /^too far$/],
	"a rejected promise": ["await Promise.reject(new TypeError('late'))", "TypeError", /^late$/],
	"an unknown name": ["noSuchName", "", /Cannot find name 'noSuchName'/],
	"a wrong type": ["const n: number = 'x';", "", /not assignable/],
	"a syntax error": ["const = 5", "", /./],
	"a stack overflow": ["(function deep(): number { return deep() + 1; })()", "RangeError", /call stack/],
	"an error with a cause": ["throw new Error('outer', { cause: new Error('inner') })", "Error", /^outer$/],
	"an error whose message is a getter that throws": [
		"const bad = new Error(); Object.defineProperty(bad, 'message', { get() { throw 1; } }); throw bad",
		"Error",
		/^/,
	],
};

for (const [name, [code, ename, evalue]] of Object.entries(failures)) {
	check(`errors: ${name} is published and replied alike`, async () => {
		const { reply, iopub } = await kernel.execute(code);
		const { content } = iopub.find(({ type }) => type === "error")!;
		assert.equal(reply.status, "error");
		if (ename !== "") assert.equal(reply.ename, ename);
		assert.match(reply.evalue, evalue);
		const { ename: name, evalue: value, traceback } = reply;
		assert.deepEqual(content, { ename: name, evalue: value, traceback });
		assert.equal((await kernel.execute("1")).reply.status, "ok");
	});
}

const displays: Record<string, string> = {
	"text/html": "display.html('<b>x</b>')",
	"text/markdown": "display.markdown('*x*')",
	"text/latex": "display.latex('$x$')",
	"application/json": "display.json({ a: [1] })",
	"image/svg+xml": "display.svg('<svg xmlns=\"http://www.w3.org/2000/svg\"/>')",
	"image/png": "display.image(Buffer.from('89504e470d0a1a0a', 'hex'))",
	"image/jpeg": "display.image(Buffer.from('ffd8ffe000104a46', 'hex'))",
	"text/plain": "display(new Map([[1, new Set([2])]]))",
};

for (const [mime, code] of Object.entries(displays)) {
	check(`display: ${mime}, with text beside it`, async () => {
		const { reply, iopub } = await kernel.execute(`${code};`);
		assert.equal(reply.status, "ok", reply.evalue);
		const shown = iopub.find(({ type }) => type === "display_data")!;
		assert.ok(mime in shown.content.data, Object.keys(shown.content.data).join());
		assert.equal(typeof shown.content.data["text/plain"], "string");
	});
}

const completeness: [string, string, string?][] = [
	["1 + 1", "complete"],
	["console.log('a')", "complete"],
	["const f = () => { return 1; }", "complete"],
	["", "complete"],
	["if (true) {", "incomplete", "  "],
	["class A {\n  m() {", "incomplete", "    "],
	["/* open", "incomplete"],
	[`\`open \${1`, "incomplete"],
	["[1,", "incomplete"],
	["const = 1", "invalid"],
	["}", "invalid"],
	["1 1", "invalid"],
];

for (const [code, status, indent] of completeness) {
	check(`is_complete: ${JSON.stringify(code)} is ${status}`, async () => {
		const reply = await kernel.ask("is_complete_request", { code });
		assert.equal(reply.status, status);
		if (indent !== undefined) assert.equal(reply.indent, indent);
	});
}

const completions: [marked: string, match: string, start: number][] = [
	["conformance.|", "alpha", 12],
	["conformance.al|", "alpha", 12],
	["doub|", "double", 0],
	["x = conformance.be|; y", "beta", 16],
	["'🙂'; conformance.a|", "alpha", 17],
	["console.lo|", "log", 8],
	["consol|", "console", 0],
	["new Ma|", "Map", 4],
	["Math.ma|", "max", 5],
];

for (const [marked, match, start] of completions) {
	check(`completion: ${marked}`, async () => {
		const cursor_pos = [...marked.slice(0, marked.indexOf("|"))].length;
		const reply = await kernel.ask("complete_request", { code: marked.replace("|", ""), cursor_pos });
		assert.ok(reply.matches.includes(match), reply.matches.join());
		assert.deepEqual([reply.cursor_start, reply.cursor_end], [start, cursor_pos]);
	});
}

for (const [code, cursor_pos] of [
	["double.", 99],
	["double", -1],
	["", 0],
	["🙂".repeat(50), 25],
	["}{)(", 2],
	["import { ", 9],
] as const) {
	check(
		`completion and inspection at an odd place are answered: ${JSON.stringify(code).slice(0, 20)} ${cursor_pos}`,
		async () => {
			assert.equal((await kernel.ask("complete_request", { code, cursor_pos })).status, "ok");
			assert.equal((await kernel.ask("inspect_request", { code, cursor_pos, detail_level: 0 })).status, "ok");
		},
	);
}

check("user expressions are rich, and one that fails spares the others", async () => {
	const user_expressions = {
		two: "1 + 1",
		html: "({ _toHtml: () => '<b>2</b>' })",
		bad: "nowhere.x",
		later: "Promise.resolve(3)",
	};
	const { reply } = await kernel.execute("0", { user_expressions });
	assert.equal(reply.user_expressions.two.data["text/plain"], "2");
	assert.equal(reply.user_expressions.html.data["text/html"], "<b>2</b>");
	assert.equal(reply.user_expressions.bad.status, "error");
	assert.equal(reply.user_expressions.later.status, "ok");
});

check("silent: no input, no output, no count; the reply tells the error", async () => {
	const before = (await kernel.execute("0")).reply.execution_count;
	const silent = await kernel.execute("console.log(1); display(2); 3", { silent: true });
	assert.deepEqual(states(silent), ["busy", "idle"]);
	const failed = await kernel.execute("throw new Error('hidden')", { silent: true });
	assert.deepEqual([states(failed).join(), failed.reply.evalue], ["busy,idle", "hidden"]);
	assert.equal((await kernel.execute("0")).reply.execution_count, before + 1);
});

check("after an error the waiting cells are aborted, other requests are answered, later cells run", async () => {
	const code = "await prompt('Fail? '); throw new Error('stop')";
	const wait = kernel.send("execute_request", { code, allow_stdin: true });
	const cells = [1, 2, 3].map((n) => kernel.send("execute_request", { code: `ran = ${n}` }));
	const info = kernel.send("kernel_info_request", {});
	const complete = kernel.send("complete_request", { code: "doub", cursor_pos: 4 });
	await kernel.answerInput(wait, "now");
	assert.equal((await kernel.exchange(wait)).reply.status, "error");
	for (const id of cells) {
		const exchange = await kernel.exchange(id);
		assert.deepEqual([exchange.reply.status, states(exchange).join()], ["aborted", "busy,idle"]);
	}
	assert.equal((await kernel.exchange(info)).reply.status, "ok");
	assert.deepEqual((await kernel.exchange(complete)).reply.matches, ["double"]);
	assert.equal((await kernel.execute("typeof (globalThis as any).ran")).reply.status, "ok");
});

check("replies come in the order of the requests, whatever their kind", async () => {
	const kinds: [string, object][] = [
		["execute_request", { code: "1", stop_on_error: false }],
		["complete_request", { code: "doub", cursor_pos: 4 }],
		["kernel_info_request", {}],
		["is_complete_request", { code: "1" }],
		["history_request", { hist_access_type: "tail", n: 1, output: false, raw: true }],
	];
	const ids = Array.from({ length: 100 }, (_, i) => kernel.send(...kinds[i % kinds.length]!));
	await kernel.exchange(ids.at(-1)!);
	const replied = kernel.messages.filter(({ channel, parentId }) => channel === "shell" && ids.includes(parentId));
	assert.deepEqual(
		replied.map(({ parentId }) => parentId),
		ids,
	);
});
