// Texts that a user may have in a cell while typing, or a program may send: every position of them can be asked about, none
// keeps the kernel from the next, and positions count code points.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { KernelClient } from "./helpers/kernel-client.js";

let kernel: KernelClient;

before(async () => {
	kernel = await KernelClient.start();
});

after(() => kernel.stop());

const texts = [
	"const 𝒳 = { é: 1, '😀': 2 }; 𝒳.",
	"'😀😀'.len",
	"console.lo; '👨‍👩‍👧'",
	"`$" + "{'😀'}`.sl",
	"'\ud83d",
	"\ud800.",
	"a\u0301.x",
	"import { re",
	"import {} from '",
	"import x from './",
	"class A { #p = 1; m() { this. } }",
	"\r\n\r\nMath.",
	"\ufeffMath.",
	"(\n\ufeff  [",
	"",
	"@",
	"...",
	"<",
	"%time ",
];

test("completion and inspection answer at every position, and before and behind the text", async () => {
	for (const text of texts) {
		const { length } = [...text];
		for (let position = -1; position <= length + 1; position++) {
			const at = { code: text, cursor_pos: position };
			const what = `${JSON.stringify(text)} at ${position}`;
			const { status, cursor_start: start, cursor_end: end } = await kernel.ask("complete_request", at);
			assert.deepEqual([status, start >= 0 && start <= end && end <= length], ["ok", true], what);
			assert.equal((await kernel.ask("inspect_request", { ...at, detail_level: 0 })).status, "ok", what);
		}
		assert.match((await kernel.ask("is_complete_request", { code: text })).status, /^(?:complete|incomplete|invalid)$/);
	}
});

test("what is completed is what stands there, by code points", async () => {
	for (const [code, match] of [
		["const 𝒳1 = { é: 1, eins: 2 }; 𝒳1.ei", "eins"],
		["'😀😀'.len", "length"],
		["/* 😀 */ Math.ma", "max"],
	] as const) {
		const points = [...code];
		const reply = await kernel.ask("complete_request", { code, cursor_pos: points.length });
		assert.ok(reply.matches.includes(match), code);
		assert.ok(match.startsWith(points.slice(reply.cursor_start, reply.cursor_end).join("")), code);
	}
});

const deep: Record<string, string> = {
	brackets: "[".repeat(20_000),
	parentheses: `${"(".repeat(20_000)}1${")".repeat(20_000)}`,
	"a long sum": `${"1+".repeat(40_000)}1`,
	"a literal": `const data = ${"[".repeat(20_000)}${"]".repeat(20_000)};`,
};
for (const [what, code] of Object.entries(deep)) {
	test(`${what} too deep for the compiler: the cell is refused, and the next one runs`, async () => {
		assert.equal((await kernel.ask("complete_request", { code, cursor_pos: 5 })).status, "ok");
		assert.equal((await kernel.ask("inspect_request", { code, cursor_pos: 5, detail_level: 0 })).status, "ok");
		assert.notEqual((await kernel.ask("is_complete_request", { code })).status, "error");
		const { reply } = await kernel.execute(code);
		assert.match(reply.evalue, /^\[ERR_OCTAVO_NESTING\]/);
		const { matches } = await kernel.ask("complete_request", { code: "Math.ma", cursor_pos: 7 });
		assert.ok(matches.includes("max"));
		const next = await kernel.execute("const after: number = 1; after + 1");
		assert.equal(next.iopub.find(({ type }) => type === "execute_result")?.content.data["text/plain"], "2");
	});
}
