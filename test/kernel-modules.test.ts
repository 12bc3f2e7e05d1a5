// What cells import, over raw ZeroMQ: named, default and namespace imports of every kind of module, and files beside the
// notebook that change while it runs.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { KernelClient } from "./helpers/kernel-client.js";

let kernel: KernelClient;
let folder: string;

before(async () => {
	folder = mkdtempSync(join(tmpdir(), "octavo-modules-"));
	const write = (name: string, text: string) => writeFileSync(join(folder, name), text);
	write("deep.ts", "export const base: number = 10;\n");
	write(
		"helper.ts",
		"import { base } from './deep';\nexport let counter = 0;\n" +
			"export function bump(): number { counter++; return counter; }\nexport const above = base + 1;\n",
	);
	write("data.json", '{ "answer": 42 }');
	write("old.cjs", "module.exports = function old() { return this === undefined || this === globalThis; };\n");
	write("new.mjs", "export const one = 1; export default 2;\n");
	kernel = await KernelClient.start({ folder });
});

after(async () => {
	await kernel.stop();
	rmSync(folder, { recursive: true, force: true });
});

/** Runs a cell and gives its result's text, or the error's. */
async function outcome(code: string): Promise<string | undefined> {
	const { reply, iopub } = await kernel.execute(code);
	if (reply.status === "error") return `${reply.ename}: ${reply.evalue}`;
	return iopub.find(({ type }) => type === "execute_result")?.content.data["text/plain"];
}

test("imports of builtins, JSON, CommonJS and ES modules by name, default and namespace", async () => {
	assert.equal(
		await outcome(
			"import path, { join } from 'node:path'; import * as all from 'path'; path.join === join && all.join === join",
		),
		"true",
	);
	assert.equal(await outcome("join('a', 'b')"), "'a/b'");
	assert.equal(await outcome("const kept = { join }; [kept.join('c', 'd'), all.sep]"), "[ 'c/d', '/' ]");
	assert.equal(await outcome("import data from './data.json'; data.answer"), "42");
	assert.equal(await outcome("import two, { one } from './new.mjs'; [one, two]"), "[ 1, 2 ]");
	assert.equal(await outcome("import old from './old.cjs'; old()"), "true");
});

test("an imported function is called without its module as this", async () => {
	writeFileSync(join(folder, "this.cjs"), "exports.bare = function () { return this === exports; };\n");
	assert.equal(await outcome("import { bare } from './this.cjs'; bare()"), "false");
});

test("named imports are live, in their own cell and in later ones", async () => {
	assert.equal(
		await outcome("import { above, bump, counter } from './helper'; bump(); bump(); [counter, above]"),
		"[ 2, 11 ]",
	);
	assert.equal(await outcome("bump(); counter"), "3");
	assert.equal(await outcome("const module = await import('./helper'); module.above"), "11");
});

test("a file runs once: later imports of it, and of others beside it, find it as it has become", async () => {
	const write = (name: string, text: string) => writeFileSync(join(folder, name), text);
	write("once.ts", "export let runs = 0;\nexport const again = () => ++runs;\n");
	write("beside.ts", "import { again } from './once';\nexport const both = again();\n");
	assert.equal(await outcome("import { again } from './once'; again()"), "1");
	assert.equal(
		await outcome("import { runs } from './once'; import { both } from './beside'; [runs, both]"),
		"[ 2, 2 ]",
	);
	assert.equal(await outcome("import * as whole from './once'; whole.again()"), "3");
});

test("files that await at their top level run before what imports them, once, and anew when they have changed", async () => {
	const write = (name: string, text: string) => writeFileSync(join(folder, name), text);
	write(
		"slow.ts",
		"export let runs = 0; export const value: number = await new Promise((r) => setTimeout(r, 20, 7)); runs++;\n",
	);
	write(
		"between.ts",
		"import { value, runs } from './slow';\nexport const twice = 2 * value; export const seen = () => runs;\n",
	);
	write("all.ts", "export const sum = { of: 0 }; for await (const n of [1, Promise.resolve(2)]) sum.of += n;\n");
	write(
		"held.ts",
		"import { twice } from './between'; await using held = { async [Symbol.asyncDispose]() {} }; export const kept = twice;\n",
	);
	assert.equal(
		await outcome("import { twice, seen } from './between'; import { kept } from './held.ts'; [twice, seen(), kept]"),
		"[ 14, 1, 14 ]",
	);
	assert.equal(await outcome("import { runs } from './slow'; import { sum } from './all'; [runs, sum.of]"), "[ 1, 3 ]");
	write("slow.ts", "export const runs = 5; export const value = await Promise.resolve(8);\n");
	assert.equal(await outcome("import { twice as changed } from './between'; changed"), "16");
	assert.equal(await outcome("const all = await import('./all'); all.sum.of"), "3");
	write("bad.ts", "export const never = await Promise.reject(new Error('of the file'));\n");
	assert.equal(await outcome("import { never } from './bad'; never"), "Error: of the file");
	assert.equal(await outcome("import { never as again } from './bad'; again"), "Error: of the file");
	write(
		"required.ts",
		"export const late = await Promise.resolve(1);\nexport const self = () => require('./required');\n",
	);
	assert.match(
		(await outcome("import { self } from './required'; require('./bad')"))!,
		/Expected an import of .*bad\.ts, which awaits/,
	);
	assert.equal(await outcome("self().late"), "1");
});

test("an interrupt ends the import of a file that waits for ever, and the next import tries again", async () => {
	writeFileSync(
		join(folder, "stuck.ts"),
		"console.log('waits'); export const stuck = await new Promise<number>(() => {});\n",
	);
	const id = kernel.send("execute_request", { code: "import { stuck } from './stuck';" });
	await kernel.until(() => kernel.messages.some(({ parentId, type }) => parentId === id && type === "stream"));
	await kernel.ask("interrupt_request", {}, "control");
	assert.equal((await kernel.reply(id)).ename, "Interrupted");
	writeFileSync(join(folder, "stuck.ts"), "export const stuck = await Promise.resolve(3);\n");
	assert.equal(await outcome("import { stuck } from './stuck'; stuck"), "3");
});

test("a changed file is read anew by the next import, also through the file that imports it", async () => {
	writeFileSync(join(folder, "deep.ts"), "export const base: number = 20;\n");
	assert.equal(await outcome("import { above as second } from './helper'; second"), "21");
	writeFileSync(join(folder, "deep.ts"), "export const base: string = 'text ';\n");
	assert.equal(await outcome("import { above as third } from './helper'; third.toUpperCase()"), "'TEXT 1'");
	writeFileSync(join(folder, "deep.ts"), "export const base: number = 'wrong';\n");
	assert.match((await outcome("import { above as fourth } from './helper';"))!, /deep\.ts:1:14 .*not assignable/);
	writeFileSync(join(folder, "deep.ts"), "export const base = 5;\n");
	assert.equal(await outcome("import { above as fifth } from './helper'; fifth"), "6");
});

test("a file that appears later is found", async () => {
	assert.match((await outcome("import { fresh } from './fresh';"))!, /Cannot find module/);
	writeFileSync(join(folder, "fresh.ts"), "export const fresh = 'here';\n");
	assert.equal(await outcome("import { fresh } from './fresh'; fresh"), "'here'");
});

test("an error in a file beside the notebook names the file's own line, and shows it", async () => {
	const text =
		"interface Gone { a: number }\n\n\nexport function fail(x: number): never {\n\tthrow new RangeError('no ' + x);\n}\n";
	writeFileSync(join(folder, "failing.ts"), text);
	const { reply } = await kernel.execute("import { fail } from './failing';\n\nfail(3);");
	const shown = stripVTControlCharacters(reply.traceback.join("\n"));
	assert.equal(reply.evalue, "no 3");
	assert.match(shown, /at fail \(failing\.ts:5:8\)\n {4}at cell \[\d+\]:3:\d+\n/);
	assert.match(shown, /> 5 \| \tthrow new RangeError/);
	assert.doesNotMatch(shown, /octavo-loader/);
	writeFileSync(join(folder, "failing.ts"), "\nthrow new Error('at the top');\nexport const fail = 1;\n");
	const top = (await kernel.execute("import { fail as again } from './failing'; again")).reply;
	assert.match(stripVTControlCharacters(top.traceback.join("\n")), /at failing\.ts:2:7\n(?: {4}….*\n)? {4}at cell/);
});

test("a file is given its own path, and only what it imports as a value is loaded", async () => {
	writeFileSync(join(folder, "typesonly.ts"), "throw new Error('loaded');\nexport interface Shape { side: number }\n");
	writeFileSync(
		join(folder, "place.ts"),
		"import { Shape } from './typesonly';\n" +
			"export const place = [__filename, __dirname];\nexport const side = (shape: Shape) => shape.side;\n",
	);
	assert.equal(
		await outcome("import { place, side } from './place'; [...place, side({ side: 4 })].join()"),
		`'${join(folder, "place.ts")},${folder},4'`,
	);
});

test("files above the notebook's folder, TSX and files that import each other", async () => {
	const inner = mkdtempSync(join(folder, "inner-"));
	writeFileSync(
		join(folder, "above.ts"),
		"export const above: string = 'up';\nexport const late = () => import('./deep');\n",
	);
	writeFileSync(
		join(inner, "element.tsx"),
		"declare global { namespace JSX { interface IntrinsicElements { b: object } } }\n" +
			"const React = { createElement: (...parts: unknown[]) => parts };\nexport const element = <b>bold</b>;\n",
	);
	writeFileSync(join(inner, "one.ts"), "import { two } from './two';\nexport const one = (): number => two() + 1;\n");
	writeFileSync(
		join(inner, "two.ts"),
		"import * as other from './one';\nexport const two = () => typeof other.one === 'function' ? 41 : 0;\n",
	);
	const own = await KernelClient.start({ folder: inner });
	const value = async (code: string) => {
		const { reply, iopub } = await own.execute(code);
		return reply.status === "ok"
			? iopub.find(({ type }) => type === "execute_result")?.content.data["text/plain"]
			: `${reply.ename}: ${reply.evalue}`;
	};
	try {
		assert.equal(await value("import { above, late } from '../above'; above"), "'up'");
		assert.equal(await value("Object.keys(await late()).join()"), "'base'");
		assert.equal(await value("import { element } from './element'; element.join()"), "'b,,bold'");
		assert.equal(await value("import { one } from './one.js'; one()"), "42");
	} finally {
		await own.stop();
	}
});

test("a package that tslab is started without is the real one for a cell", async () => {
	const tslab = JSON.stringify(createRequire(import.meta.url).resolve("tslab/package.json"));
	const load = `import { createRequire } from 'node:module'; createRequire(${tslab})('semver').clean(' v1.2.3 ')`;
	assert.equal(await outcome(load), "'1.2.3'");
});

test("a cell that is a module: its errors name its own lines", async () => {
	const shown = async (code: string) =>
		stripVTControlCharacters((await kernel.execute(code)).reply.traceback.join("\n"));
	const module = "/** @module lib */\nexport function fail(): never {\n\tthrow new Error('no');\n}\n";
	assert.equal(await outcome(module), undefined);
	const failed = await shown("import { fail } from './lib';\nfail();");
	assert.match(failed, /at fail \(lib\.ts:3:8\)\n {4}at cell \[\d+\]:2:\d\n/);
	assert.match(failed, /> 3 \| \tthrow new Error/);
	assert.equal(await outcome(module.replace("never", "number").replace(/throw.*/, "return 7;")), undefined);
	assert.equal(await outcome("import { fail as seven } from './lib'; seven()"), "7");
	const wrong = "/** @module wrong */\nexport const text: string = 5;\n";
	const refused = await shown(wrong);
	assert.match(refused, /TS2322.*\n {4}at cell \[\d+\]:2:14\n[\s\S]*> 2 \| export const text/);
	assert.match(await shown("import './wrong';"), /at wrong\.ts:2:14/);
	assert.equal(await outcome("/** @browser */\n40 + 2"), "42", "tags that mean nothing here change nothing");
});

test("JSON and CommonJS files that changed are read anew, with or without attributes, and by import()", async () => {
	const write = (name: string, text: string) => writeFileSync(join(folder, name), text);
	write("changing.json", '{ "k": 1 }');
	write("changing.cjs", "exports.k = 1;\n");
	write("changing.mjs", "export const k = 1;\n");
	assert.equal(await outcome("import a from './changing.json' with { type: 'json' }; a.k"), "1");
	assert.equal(await outcome("import { k } from './changing.cjs'; k"), "1");
	const dynamic = (name: string, more = "") => outcome(`(await import('./changing.${name}' as string${more})).k`);
	const all = async () => [
		await dynamic("json"),
		await dynamic("json", ", { with: { type: 'json' } }"),
		await dynamic("mjs"),
	];
	assert.deepEqual(await all(), ["1", "1", "1"]);
	await new Promise((resolve) => setTimeout(resolve, 20));
	write("changing.json", '{ "k": 2 }');
	write("changing.cjs", "exports.k = 2;\n");
	write("changing.mjs", "export const k = 2;\n");
	assert.deepEqual(await all(), ["2", "2", "2"]);
	assert.equal(
		await outcome("import b from './changing.json'; import c from './changing.json'; [b.k, b === c, a.k]"),
		"[ 2, true, 1 ]",
	);
	assert.equal(await outcome("import { k as k2 } from './changing.cjs'; [k2, k]"), "[ 2, 1 ]");
});

test("an ES module that awaits is imported by cells and by local files, and anew when it has changed", async () => {
	const write = (name: string, text: string) => writeFileSync(join(folder, name), text);
	const awaits = (k: number) => `export const k = await Promise.resolve(${k});\nexport default { twice: 2 * k };\n`;
	write("awaits.mjs", awaits(4));
	write("imports-awaits.ts", "import { k } from './awaits.mjs';\nexport const above = k + 1;\n");
	assert.equal(await outcome("import twice4, { k as k4 } from './awaits.mjs'; [k4, twice4.twice]"), "[ 4, 8 ]");
	assert.equal(await outcome("import * as all4 from './awaits.mjs'; [all4.k, all4.default.twice]"), "[ 4, 8 ]");
	assert.equal(await outcome("import { above } from './imports-awaits'; above"), "5");
	await new Promise((resolve) => setTimeout(resolve, 20));
	write("awaits.mjs", awaits(7));
	assert.equal(await outcome("import { k as k7 } from './awaits.mjs'; [k4, k7]"), "[ 4, 7 ]");
	write("throws.mjs", "await Promise.reject(new RangeError('no such thing'));\nexport const never = 1;\n");
	assert.equal(await outcome("import { never } from './throws.mjs'; never"), "RangeError: no such thing");
	assert.equal(await outcome("k7 + 1"), "8");
});

test("URLs are imported, and import.meta.resolve finds for a thread what a cell finds", async () => {
	assert.equal(await outcome("import five from 'data:text/javascript,export default 5'; five"), "5");
	assert.equal(await outcome("(await import('data:text/javascript,export default 6')).default"), "6");
	const thread = "import(workerData).then((all) => parentPort.postMessage(typeof all.loadModel))";
	const code =
		`import { Worker } from 'node:worker_threads'; const text = "const { parentPort, workerData } = require('node:worker_threads'); ${thread}";` +
		"const worker = new Worker(text, { eval: true, workerData: import.meta.resolve('octavo') });" +
		"const answer = await new Promise((done) => worker.once('message', done)); await worker.terminate(); answer";
	assert.equal(await outcome(code), "'function'");
	assert.equal(await outcome("import.meta.resolve('apache-arrow').startsWith('file:')"), "true");
	assert.match((await outcome("import.meta.resolve('no-such-package')"))!, /Cannot find module 'no-such-package'/);
});

test("WebAssembly has types, also beside those of a browser", async () => {
	const bytes =
		"0,97,115,109,1,0,0,0,1,7,1,96,2,127,127,1,127,3,2,1,0,7,7,1,3,97,100,100,0,0,10,9,1,7,0,32,0,32,1,106,11";
	const use = (name: string) =>
		`const ${name} = await WebAssembly.instantiate(new Uint8Array([${bytes}])); const of${name}: WebAssembly.Instance = ${name}.instance; (of${name}.exports.add as any)(2, 3)`;
	assert.equal(await outcome(use("one")), "5");
	assert.match((await outcome("WebAssembly.validate('text')"))!, /not assignable/);
	assert.equal(await outcome(`/// <reference lib="dom" />\n${use("two")}`), "5");
});

test("what a cell declares whose import fails is not there, in types either", async () => {
	writeFileSync(join(folder, "fails.ts"), "await null;\nif (Math) throw new Error('no');\nexport {};\n");
	await kernel.execute("const before = 'kept';");
	assert.equal(await outcome("import './fails';\nconst lost = 1;\nconst before = 2;"), "Error: no");
	assert.match((await outcome("lost")) ?? "", /Cannot find name 'lost'/);
	assert.equal(await outcome("before.length"), "4");
});

test("what cannot be imported is told in the notebook's words", async () => {
	assert.match((await outcome("await import('no-such-package' as string)"))!, new RegExp(`imported from ${folder}`));
});
