// What a stopped kernel shows over raw ZeroMQ: scopes, tensors and tables, long lists in pages, values that resist.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { DebugClient, type Frame, type Variable } from "./helpers/debug-client.js";

let client: DebugClient;
let frames: Frame[];
let cell: string;

const code = [
	"const scale = (factor: number) => {",
	"  let inner = 'in';",
	"  const apply = (x: number) => {",
	"    const scaled = x * factor + inner.length;",
	"    return scaled;",
	"  };",
	"  return apply(7);",
	"};",
	"const late = scale(3);",
].join("\n");

before(async () => {
	client = await DebugClient.start();
	const { reply } = await client.kernel.execute(
		"import { Tensor, loadModel } from 'octavo';\n" +
			"const tensor = new Tensor('f32', Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3], ['row', 'column']);\n" +
			"const session = (await loadModel()).session(); await session.prefill([1, 150]);\n" +
			"const table = session.trace.table('steps');\n" +
			"const long = Float32Array.from({ length: 25_000 }, (_, i) => i);\n" +
			"const map = new Map<string, object>([['one', { a: 1 }]]);\n" +
			"let reads = 0;\n" +
			"const hostile = { get secret() { reads++; return 1; }, proxy: new Proxy({}, { get() { throw new Error('no'); }, ownKeys() { throw new Error('no'); } }), [Symbol.for('Jupyter.display')]() { throw new Error('hidden'); } };",
	);
	assert.equal(reply.status, "ok", reply.evalue);
	await client.breakAt(code, 5);
	cell = client.run(code);
	({ frames } = await client.stopped());
});

after(() => client.kernel.stop());

const byName = (list: Variable[]) => Object.fromEntries(list.map((variable) => [variable.name, variable]));
const children = (reference: number, page: object = {}) =>
	client.ask("variables", { variablesReference: reference, ...page }).then(({ variables }) => variables as Variable[]);

test("a frame's own variables, what it closes over, and the notebook's are told apart", async () => {
	const locals = byName(await client.variables(frames[0]!.id, "Locals"));
	assert.deepEqual(Object.keys(locals).sort(), ["scaled", "x"]);
	assert.equal(locals.scaled!.value, "23");
	assert.equal(locals.scaled!.type, "number");
	const closure = byName(await client.variables(frames[0]!.id, "Closure (scale)"));
	assert.deepEqual([closure.factor!.value, closure.inner!.value], ["3", "'in'"]);
	const notebook = byName(await client.variables(frames[0]!.id, "Notebook"));
	for (const name of ["tensor", "table", "long", "map"]) assert.ok(notebook[name], name);
	// The cell has not come so far as to set it.
	assert.equal(notebook.late, undefined);
	assert.equal("exports" in notebook || "tsLastExpr" in notebook, false);
});

test("tensors and tables sum themselves up, and show richly", async () => {
	const notebook = byName(await client.variables(frames[0]!.id, "Notebook"));
	assert.match(notebook.tensor!.value, /^Tensor f32 \[row 2 × column 3\]/);
	assert.equal(notebook.tensor!.type, "Tensor");
	assert.match(notebook.table!.value, /\d+ rows × \d+ columns/);
	const rich = await client.ask("richInspectVariables", { variableName: "tensor", frameId: frames[0]!.id });
	assert.match(rich.data["text/html"], /<\w/);
	assert.match(rich.data["text/plain"], /^Tensor f32/);
	assert.equal(typeof rich.metadata, "object");
	assert.match((await client.ask("richInspectVariables", { variableName: "table" })).data["text/html"], /<table/);
	const fields = byName(await children(notebook.tensor!.variablesReference));
	assert.equal(fields.dtype!.value, "'f32'");
	const data = await children(fields.data!.variablesReference);
	assert.deepEqual(data.map(({ name, value }) => [name, value]).slice(0, 2), [
		["[0]", "1"],
		["[1]", "2"],
	]);
});

test("long lists come in pages: as asked for, or in ranges", async () => {
	const { long, map } = byName(await client.variables(frames[0]!.id, "Notebook"));
	assert.equal(long!.indexedVariables, 25_000);
	const page = await children(long!.variablesReference, { filter: "indexed", start: 24_998, count: 100 });
	assert.deepEqual(
		page.map(({ name, value }) => [name, value]),
		[
			["[24998]", "24998"],
			["[24999]", "24999"],
		],
	);
	const ranges = await children(long!.variablesReference);
	assert.deepEqual(
		ranges.map(({ name }) => name),
		["[0 … 9999]", "[10000 … 19999]", "[20000 … 24999]"],
	);
	const [, inner] = await children(ranges[2]!.variablesReference);
	assert.equal(inner!.name, "[20100 … 20199]");
	assert.equal((await children(inner!.variablesReference))[5]!.value, "20105");
	const entries = await children(map!.variablesReference);
	assert.deepEqual([entries[0]!.name, entries[0]!.type], ["'one'", "Object"]);
});

test("getters are not called, and values that resist are shown as far as they let themselves", async () => {
	const { hostile } = byName(await client.variables(frames[0]!.id, "Notebook"));
	const inside = byName(await children(hostile!.variablesReference));
	assert.equal(inside.secret!.value, "(getter)");
	assert.equal(inside.proxy!.variablesReference, 0);
	assert.equal((await client.ask("evaluate", { expression: "reads" })).result, "0");
	const rich = await client.ask("richInspectVariables", { variableName: "hostile" });
	assert.match(rich.data["text/plain"], /hidden/);
});

test("expressions see the frame first and the notebook behind it, and can change both", async () => {
	const at = { frameId: frames[0]!.id };
	const { result, type } = await client.ask("evaluate", { expression: "scaled + tensor.size + map.size", ...at });
	assert.deepEqual([result, type], ["30", "number"]);
	await client.ask("evaluate", { expression: "inner = 'longer'; reads = 40", ...at });
	const expression = "[inner, reads, typeof table]";
	assert.equal((await client.ask("evaluate", { expression, ...at })).result, "[ 'longer', 40, 'object' ]");
	assert.match(await client.refused("evaluate", { expression: "missing.x", ...at }), /missing is not defined/);
	assert.match(await client.refused("evaluate", { expression: "(", ...at }), /SyntaxError/);
	assert.equal(
		(
			await client
				.ask("evaluate", { expression: "x + factor", frameId: frames[1]!.id })
				.catch(() => ({ result: "none" }))
		).result,
		"none",
	);
});

test("a value can be copied to the notebook, and the next cell knows it", async () => {
	const copy = { srcVariableName: "scaled", dstVariableName: "kept", srcFrameId: frames[0]!.id };
	await client.ask("copyToGlobals", copy);
	for (const dstVariableName of ["not a name", "class", "exports", ""]) {
		assert.match(await client.refused("copyToGlobals", { ...copy, dstVariableName }), /name of a variable/);
	}
	const reference = byName(await client.variables(frames[0]!.id, "Notebook")).map!.variablesReference;
	const { reply } = await client.finish(cell);
	assert.equal(reply.status, "ok");
	const { iopub } = await client.kernel.execute("[kept + 1, late, reads]");
	assert.equal(iopub.find(({ type }) => type === "execute_result")?.content.data["text/plain"], "[ 24, 23, 40 ]");
	// What belonged to the stop is over.
	assert.match(await client.refused("variables", { variablesReference: reference }), /present stop/);
	assert.match(await client.refused("scopes", { frameId: frames[0]!.id }), /stopped thread/);
});

test("variables can be looked at while nothing is stopped", async () => {
	const { variables } = await client.ask("inspectVariables");
	const { tensor, kept } = byName(variables);
	assert.match(tensor!.value, /^Tensor f32/);
	assert.equal(kept!.value, "23");
	assert.ok((await children(tensor!.variablesReference)).some(({ name }) => name === "shape"));
	const rich = await client.ask("richInspectVariables", { variableName: "tensor" });
	assert.match(rich.data["text/html"], /<\w/);
});
