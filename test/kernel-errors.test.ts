// What errors look like: thrown ones with what brought them about, printed and shown ones, and hints where a cell is written
// as for another kernel.

import assert from "node:assert/strict";
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
	];
	for (const [code, hint] of hints)
		assert.match(
			traceback(await kernel.execute(code))
				.split("\n")
				.at(-1)!,
			hint,
			code,
		);
	for (const code of ["let z: string = 5;", "missing", "import x from './missing';", "5 %% 2", "a ? b"]) {
		assert.doesNotMatch(traceback(await kernel.execute(code)), /Hint:/, code);
	}
});
