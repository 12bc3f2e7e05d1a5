// What helps while writing cells, over raw ZeroMQ: paths in strings, packages to import, type errors that only warn, and
// installing a package.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { KernelClient } from "./helpers/kernel-client.js";

let kernel: KernelClient;
let folder: string;

before(async () => {
	folder = mkdtempSync(join(tmpdir(), "octavo-editing-"));
	mkdirSync(join(folder, "data"));
	mkdirSync(join(folder, "local-package"));
	for (const name of [
		"data/träining.csv",
		"data/test.csv",
		"data/.hidden",
		"helper.ts",
		"helper.json",
		"package.json",
	]) {
		writeFileSync(join(folder, name), name.endsWith("json") ? "{}" : "");
	}
	const manifest = { name: "local-package", version: "1.0.0", main: "index.js", types: "index.d.ts" };
	writeFileSync(join(folder, "local-package", "package.json"), JSON.stringify(manifest));
	writeFileSync(join(folder, "local-package", "index.js"), "exports.answer = 42;\n");
	writeFileSync(join(folder, "local-package", "index.d.ts"), "export declare const answer: number;\n");
	// A port that nobody listens on: no test may depend on a registry.
	const env = { npm_config_registry: "http://127.0.0.1:9/", npm_config_cache: join(folder, ".npm") };
	kernel = await KernelClient.start({ folder, env });
});

after(async () => {
	await kernel.stop();
	rmSync(folder, { recursive: true, force: true });
});

/** Completes at the place of `|`, counted in code points. */
async function complete(marked: string): Promise<[matches: string[], start: number, end: number]> {
	const cursor_pos = [...marked.slice(0, marked.indexOf("|"))].length;
	const reply = await kernel.ask("complete_request", { code: marked.replace("|", ""), cursor_pos });
	return [reply.matches, reply.cursor_start, reply.cursor_end];
}

test("file paths are completed in any string that begins as one", async () => {
	assert.deepEqual(await complete('const a = "./data/t|"'), [["test.csv", "träining.csv"], 18, 19]);
	assert.deepEqual(await complete("const b = '🙂' + `./da|`"), [["data/"], 19, 21]);
	assert.deepEqual(await complete('read("./data/.|")'), [[".hidden"], 13, 14]);
	assert.deepEqual(await complete(`x = "${folder}/hel|"`), [
		["helper.json", "helper.ts"],
		folder.length + 6,
		folder.length + 9,
	]);
	assert.deepEqual((await complete('"./nowhere/|"'))[0], []);
});

test("imports complete files without their extension, and packages", async () => {
	assert.deepEqual((await complete('import { a } from "./hel|"'))[0], ["helper", "helper.json"]);
	assert.deepEqual((await complete('await import("./da|")'))[0], ["data/"]);
	assert.deepEqual((await complete('import * as o from "octa|"'))[0], ["octavo"]);
	assert.deepEqual((await complete('import * as o from "apache-ar|'))[0], ["apache-arrow"]);
	assert.ok((await complete('import fs from "f|"'))[0].includes("fs/promises"));
});

test("type errors stop a cell, or warn once a cell says so", async () => {
	const refused = await kernel.execute("const count: string = 1; count + 1");
	assert.equal(refused.reply.ename, "TypeScriptError");
	const warned = await kernel.execute("// @octavo type-errors: warn\nconst count: string = 1; count + 1");
	assert.equal(warned.reply.status, "ok");
	const text = stripVTControlCharacters(warned.stderr);
	assert.match(text, /TS2322: Type 'number' is not assignable to type 'string'/);
	assert.match(text, /cell \[2\]:2:7/);
	assert.match(text, /> 2 \| const count: string = 1; count \+ 1\n\s+\| {7}\^{5}/);
	assert.equal(warned.iopub.find(({ type }) => type === "execute_result")!.content.data["text/plain"], "2");
	const later = await kernel.execute("const other: number = 'x'; other");
	assert.deepEqual([later.reply.status, /TS2322/.test(later.stderr)], ["ok", true]);
	assert.equal((await kernel.execute("const broken = ;")).reply.ename, "SyntaxError");
	const again = await kernel.execute("// @octavo type-errors: refuse\nconst more: number = 'x';");
	assert.equal(again.reply.ename, "TypeScriptError");
});

test("inspection has HTML, with its text escaped", async () => {
	await kernel.execute("/** Less than <b>all</b>. */\nfunction pick<T>(from: T[]): T { return from[0]!; }");
	const { data } = await kernel.ask("inspect_request", { code: "pick", cursor_pos: 2, detail_level: 0 });
	assert.match(data["text/html"], /^<pre>function pick&#60;T&#62;\(from: T\[\]\): T<\/pre><p>Less than &#60;b/);
});

test("install adds a package that the next cell imports, and shows what npm says", async () => {
	const { reply, stdout } = await kernel.execute('await install("./local-package")', {}, 60_000);
	assert.equal(reply.status, "ok", reply.evalue);
	assert.match(stdout, /added 1 package/);
	assert.ok(existsSync(join(folder, "node_modules", "local-package")));
	const { iopub, reply: used } = await kernel.execute('import { answer } from "local-package"; answer.toFixed(1)');
	assert.equal(used.status, "ok", used.evalue);
	assert.equal(iopub.find(({ type }) => type === "execute_result")!.content.data["text/plain"], "'42.0'");
});

test("install says when no registry is within reach, and refuses what is no package", async () => {
	const { reply } = await kernel.execute('await install("left-pad")', {}, 60_000);
	assert.match(
		reply.evalue,
		/^\[ERR_OCTAVO_INSTALL\] Expected a package registry within reach but npm met ECONNREFUSED/,
	);
	for (const name of ["'--global'", "'a b; rm'", "''", "7 as any", ""]) {
		const refused = await kernel.execute(`await install(${name})`);
		assert.match(refused.reply.evalue, /^\[ERR_OCTAVO_PACKAGE_NAME\] Expected a package/, name);
	}
});

test("a name that a package exports is completed with its import, where a statement begins", async () => {
	const first = async (marked: string) => {
		const [matches, start, end] = await complete(marked);
		const code = marked.replace("|", "");
		return matches[0] === undefined ? undefined : code.slice(0, start) + matches[0] + code.slice(end);
	};
	assert.equal(await first("loadMod|"), 'import { loadModel } from "octavo";\nloadModel');
	assert.equal(
		await first("1;\nconst model = await loadMod|"),
		'1;\nimport { loadModel } from "octavo";\nconst model = await loadModel',
	);
	assert.equal(
		await first("const text = readFileSyn|('a')"),
		"import { readFileSync } from \"node:fs\";\nconst text = readFileSync('a')",
	);
	// Declared by a package that the notebook's package.json names, by way of another file.
	const home = join(folder, "node_modules", "charts");
	mkdirSync(home, { recursive: true });
	writeFileSync(join(folder, "package.json"), '{ "dependencies": { "charts": "1.0.0" } }');
	writeFileSync(join(home, "package.json"), '{ "name": "charts", "version": "1.0.0", "types": "index.d.ts" }');
	writeFileSync(join(home, "index.d.ts"), 'export * from "./marks";\nexport default function chart(): void;\n');
	writeFileSync(join(home, "marks.d.ts"), "export declare const rectangleMark: number, unusedMark: number;\n");
	assert.equal(await first("rectangleM|"), 'import { rectangleMark } from "charts";\nrectangleMark');
	// Not where an import cannot stand before it, nor in names, members, text or comments.
	for (const marked of [
		"function f() {\n  loadMod|\n}",
		"const loadMod|",
		"x.loadMod|",
		'"loadMod|"',
		"// loadMod|",
		"lo|",
		"import { loadMod|",
	]) {
		const [matches] = await complete(marked);
		assert.ok(!matches.some((text) => text.startsWith("import {")), `${marked}: ${matches[0]}`);
	}
	// What is known already goes first, and alone.
	await kernel.execute("const loadModesty = 1;");
	assert.deepEqual((await complete("loadMod|"))[0], ["loadModesty"]);
});
