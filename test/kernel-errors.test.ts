// What errors look like: thrown ones with what brought them about, printed and shown ones, and hints where a cell is written
// as for another kernel.

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { type Exchange, KernelClient } from "./helpers/kernel-client.js";

let kernel: KernelClient;

before(async () => {
	kernel = await KernelClient.start();
});

after(() => kernel.stop());

const plain = (text: string) => stripVTControlCharacters(text).replace(/cell \[\d+\]/g, "cell");
const traceback = ({ reply }: Exchange) => {
	assert.equal(reply.status, "error");
	return plain(reply.traceback.join("\n"));
};
const shown = ({ iopub }: Exchange) =>
	plain(iopub.find(({ type }) => type === "execute_result")?.content.data["text/plain"] ?? "");

test("what brought an error about is told, however deep, and what one stands for", async () => {
	const deep = "throw new Error('outer', {\n\tcause: new Error('middle', {\n\t\tcause: new TypeError('inner') }) });";
	const told = traceback(await kernel.execute(deep));
	assert.match(told, /^Error: outer\n {4}at cell:1:7\n/);
	assert.match(
		told,
		/\nCaused by Error: middle\n {4}at cell:2:9\n[\s\S]*\nCaused by TypeError: inner\n {4}at cell:3:10\n/,
	);
	assert.match(
		traceback(await kernel.execute("throw new Error('x', { cause: { code: 5 } });")),
		/Caused by \{ code: 5 \}$/,
	);
	const many = await kernel.execute(
		"await Promise.any([1, 2, 3].map(async (n) => { throw n === 3 ? n : new Error('no ' + n); }));",
	);
	assert.match(
		traceback(many),
		/^AggregateError: .*\n[\s\S]*\[1\] Error: no 1\n[\s\S]*\[2\] Error: no 2\n[\s\S]*\[3\] 3$/,
	);
	const all = "throw new AggregateError(Array.from({ length: 500 }, (_, n) => new Error(String(n))), 'many');";
	assert.match(traceback(await kernel.execute(all)), /\[10\] Error: 9\n[\s\S]*… 490 more$/);
	const own = traceback(await kernel.execute("const own: any = new Error('own'); own.cause = own; throw own;"));
	assert.doesNotMatch(own, /Caused by/);
	const { reply } = await kernel.execute("class Special extends Error {}\nthrow new Special('x');");
	assert.equal(reply.ename, "Special");
});

const hostile = {
	"a proxy whose traps throw": "throw new Proxy(new Error('x'), { get() { throw new Error('trap'); } });",
	"a proxy without a class": "throw new Proxy(new Error('x'), { getPrototypeOf() { throw new Error('trap'); } });",
	"a function whose traps throw": "throw new Proxy(() => {}, { get() { throw new Error('trap'); } });",
	"a value that cannot be shown": "throw { [Symbol.for('nodejs.util.inspect.custom')]() { throw new Error('no'); } };",
	"something that can be awaited": "throw { then() { throw new Error('then'); } };",
	"a symbol": "throw Symbol('x');",
};
test("an error whose list of errors cannot be read is told all the same", async () => {
	const lists = {
		trapped: "new Proxy([1], { get() { throw new Error('trap'); } })",
		revoked: "(() => { const { proxy, revoke } = Proxy.revocable([], {}); revoke(); return proxy; })()",
	};
	for (const [what, list] of Object.entries(lists)) {
		const { reply } = await kernel.execute(`throw Object.assign(new Error("${what}"), { errors: ${list} });`);
		assert.deepEqual([reply.ename, reply.evalue], ["Error", what]);
	}
});

for (const [what, code] of Object.entries(hostile)) {
	test(`${what} is an error as any other, also behind an await`, async () => {
		for (const cell of [code, `await null; ${code}`]) {
			const { reply } = await kernel.execute(cell);
			assert.equal(reply.status, "error");
			assert.match(reply.ename, /^(?:Error|Thrown)$/);
			assert.doesNotMatch(plain(reply.traceback.join("\n")), /dist\/kernel/);
		}
	});
}

test("errors that are printed or lie within a value name the cells' own lines, without the kernel's frames", async () => {
	const make = "const make = () => new Error('made');\n";
	const printed = await kernel.execute(
		`${make}console.log(make());\nconsole.error([make()]);\nprocess.stdout.write(make().stack!);`,
	);
	assert.equal(
		plain(printed.stdout),
		"Error: made\n    at make (cell:1:20)\n    at cell:2:13\nError: made\n    at make (cell:1:20)\n    at cell:4:22",
	);
	assert.equal(plain(printed.stderr), "[\n  Error: made\n      at make (cell:1:20)\n      at cell:3:16\n]\n");
	const awaited = await kernel.execute("await null;\nconsole.log(new Error('later'));");
	assert.equal(plain(awaited.stdout), "Error: later\n    at cell:2:13\n");
	const within = await kernel.execute("\n({ e: new Error('outer', { cause: new Error('inner') }), n: 1 })");
	assert.equal(
		shown(within),
		"{\n  e: Error: outer\n      at cell:2:7 {\n    [cause]: Error: inner\n        at cell:2:35\n  },\n  n: 1\n}",
	);
	const timer = await kernel.execute(
		"await new Promise<void>((done) => setTimeout(() => { console.log(new Error('t')); done(); }, 1));",
	);
	assert.match(
		plain(timer.stdout),
		/^Error: t\n {4}at .*\(cell:1:66\)\n {4}at listOnTimeout \(node:/,
		"what called it stays",
	);
});

test("what a library rejects names the line of the cell that awaits it, through functions and loops", async () => {
	const missing = { readFile: "readFile('/none')", all: "Promise.all([readFile('/none'), 1])" };
	await kernel.execute("import { readFile } from 'node:fs/promises';");
	for (const [name, call] of Object.entries(missing)) {
		const told = traceback(await kernel.execute(`1;\nawait ${call};`));
		assert.match(told, /^Error: ENOENT: [^\n]*\n {4}… \d library frames\n {4}at cell:2:1\n/, name);
	}
	const within = traceback(
		await kernel.execute("async function load() {\n\treturn await readFile('/none');\n}\nawait load();"),
	);
	assert.match(within, /\n {4}at load \(cell:2:\d+\)\n {4}at cell:4:1\n/);
	const loop =
		"async function* pages() {\n\tyield await readFile('/none');\n}\nfor await (const page of pages()) console.log(page);";
	assert.match(traceback(await kernel.execute(loop)), /\n {4}at pages \(cell:2:\d+\)\n {4}at cell:4:\d+\n/);
	const failed = traceback(await kernel.execute("1;\n1;\nawait fetch('http://127.0.0.1:1/');"));
	assert.match(failed, /^TypeError: fetch failed\n[^\n]*\n {4}at cell:3:1\n/);
});

test("an error in a file of the user's names its line, whatever kind of file, and the library's stay folded", async () => {
	const write = (name: string, text: string) => writeFileSync(join(kernel.folder, name), text);
	mkdirSync(join(kernel.folder, "node_modules", "dependency"), { recursive: true });
	write("node_modules/dependency/index.js", "exports.call = (own) => own();");
	write(
		"own.cjs",
		"const { call } = require('dependency');\nexports.run = () => call(() => {\n\tthrow new Error('cjs');\n});",
	);
	write("own.mjs", "export async function late() {\n\tawait null;\n\tthrow new Error('mjs');\n}");
	write("loads.mjs", "export const a = 1;\nthrow new Error('load');");
	assert.match(
		traceback(await kernel.execute("import { run } from './own.cjs';\nrun();")),
		/^Error: cjs\n {4}at own\.cjs:3:8\n {4}… 1 library frame\n {4}at \S*run \(own\.cjs:2:\d+\)\n {4}at cell:2:\d\n\n {2}1 \|/,
	);
	assert.match(
		traceback(await kernel.execute("import { late } from './own.mjs';\nawait late();")),
		/^Error: mjs\n {4}at late \(own\.mjs:3:8\)\n {4}at cell:2:1\n/,
	);
	assert.equal(traceback(await kernel.execute("import './loads.mjs';")), "Error: load\n    at loads.mjs:2:7");
	mkdirSync(join(kernel.folder, "lib"));
	write("lib/typed.ts", "export const fine = 1;\nexport const wrong: number = 'text';");
	const refused = traceback(await kernel.execute("import { fine } from './lib/typed';"));
	assert.match(refused, /\n {4}at lib\/typed\.ts:2:14\n\n {2}1 \| export const fine = 1;\n> 2 \| export const wrong/);
	const warned = await kernel.execute("// @octavo type-errors: warn\nimport { fine } from './lib/typed';\nfine");
	assert.match(plain(warned.stderr), /\n {4}at lib\/typed\.ts:2:14\n\n/);
	await kernel.execute("// @octavo type-errors: refuse");
});

test("what a failed cell never came to has no value, and later cells are told so", async () => {
	const code =
		"let open: number | undefined;\nconst known = 1;\nif (known) throw new Error('x');\nconst model = { a: 1 };\nvar afterwards = 2;";
	await kernel.execute(code);
	const told = traceback(await kernel.execute("1;\nmodel.a;"));
	assert.match(
		told,
		/^ReferenceError: 'model' has no value: the cell that declares it failed before it came to it\n {4}at cell:2:1\n/,
	);
	assert.equal(shown(await kernel.execute("[open, known, afterwards].join()")), "',1,'");
	assert.equal(shown(await kernel.execute("afterwards = 3; open = 4; [open, afterwards].join()")), "'4,3'");
	assert.equal(shown(await kernel.execute("const model = 5;\nmodel")), "5");
});

test("a constant and an import of an earlier cell cannot be assigned to, also past the types", async () => {
	await kernel.execute(
		"const fixed = 1; let free = 1;\nimport * as path from 'node:path';\nimport { join } from 'node:path';",
	);
	for (const name of ["fixed", "path", "join"]) {
		const told = traceback(await kernel.execute(`1;\n(${name} as any) = 2;`));
		assert.match(told, new RegExp(`^TypeError: Assignment to constant variable '${name}'\\.\n {4}at cell:2:\\d+\n`));
	}
	assert.equal(
		shown(await kernel.execute("(free as any)++;\n[fixed, free, typeof path, typeof join].join()")),
		"'1,2,object,function'",
	);
});

test("a cell written as for another kernel is told what to write here", async () => {
	const hints: [code: string, hint: RegExp][] = [
		["%%timeit\n1 + 1", /console\.time/],
		["%matplotlib inline", /no magics/],
		["%%html\n<b>x</b>", /display\.html/],
		["!ls -la", /execSync/],
		["!pip install x", /await install/],
		["console?", /Shift\+Tab/],
		["import x from 'not-installed-anywhere';", /install\("not-installed-anywhere"\)/],
		["import x from '@some/package/part';", /install\("@some\/package"\)/],
		["npm install x", /await install/],
		["# a comment", /\/\//],
		["def f(x):\n    return x", /function name/],
		["import numpy as np", /import \* as/],
		["from os import path", /import \{ name \}/],
		["for x in range(3):\n    print(x)", /for \(const/],
		["if a > b:\n    pass", /braces/],
		["let f = lambda x: x", /=> value/],
		['const s = f"{1}"', /\$\{value\}/],
		["const box = <div>text</div>;", /JSX/],
		["print('x')", /console\.log/],
		["len([1])", /\.length/],
		["None", /null/],
		["undeclared = 5", /let undeclared = …/],
		["window.open", /Node\.js/],
		["Object.groupBy([1], String)", /Node\.js 20/],
		["__dirname", /import\.meta\.dirname/],
	];
	for (const [code, hint] of hints)
		assert.match(
			traceback(await kernel.execute(code))
				.split("\n")
				.at(-1)!,
			hint,
			code,
		);
	for (const code of [
		"let z: string = 5;",
		"missing",
		"import x from './missing';",
		"5 %% 2",
		"a ? b",
		"let z = 1 <2> 3",
		"if (a < b: 5",
		"printed",
		"z == missing",
		"f('a'",
	]) {
		assert.doesNotMatch(traceback(await kernel.execute(code)), /Hint:/, code);
	}
});
