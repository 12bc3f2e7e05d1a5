// The debugger as JupyterLab 4 drives it, request by request in its order and with its arguments: what it reads of each
// answer must be there. Source: jupyterlab, packages/debugger/src, service.ts and session.ts.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { DebugClient, frontEnd } from "./helpers/debug-client.js";
import { KernelClient } from "./helpers/kernel-client.js";

let client: DebugClient;
/** MurmurHash2 of the cells, seed 0xc70f6907, by ipykernel's function for it. */
const definition = { code: "let x = 1", hash: 719486033 };
const calls =
	"const list = [x, 2, 3];\nfunction sum(all: number[]): number {\n\tlet total = 0;\n\tfor (const one of all) total += one;\n\treturn total;\n}\nsum(list)";

before(async () => {
	client = new DebugClient(await KernelClient.start());
	assert.equal((await client.kernel.execute(definition.code)).reply.status, "ok");
});

after(() => client.kernel.stop());

/** What JupyterLab does when its bug is switched on; then it sends the breakpoints that it has. */
async function start(at = client): Promise<void> {
	const capabilities = await at.ask("initialize", {
		clientID: "jupyterlab",
		clientName: "JupyterLab",
		adapterID: "octavo",
		...frontEnd,
	});
	const filters = capabilities.exceptionBreakpointFilters.map(({ filter }: { filter: string }) => filter);
	assert.deepEqual(filters.sort(), ["all", "uncaught"]);
	const initialized = at.events("initialized").length;
	await at.ask("attach", {});
	await at.kernel.until(() => at.events("initialized").length > initialized);
}

/** What it does for each cell with breakpoints. Gives the cell's path. */
async function updateBreakpoints(code: string, ...lines: number[]): Promise<string> {
	const { sourcePath } = await client.ask("dumpCell", { code });
	const { breakpoints: known } = await client.ask("debugInfo", {});
	for (const { source, breakpoints } of known) {
		assert.equal(typeof source, "string");
		for (const { line } of breakpoints) assert.equal(typeof line, "number");
	}
	const set = await client.setBreakpoints(sourcePath, ...lines);
	assert.deepEqual(
		set.map(({ line, verified }) => [line, verified]),
		lines.map((line) => [line, true]),
	);
	return sourcePath;
}

/** What it does at a stop. */
async function look(frameId: number) {
	const { scopes } = await client.ask("scopes", { frameId });
	const listed = await Promise.all(
		scopes.map(({ variablesReference }: { variablesReference: number }) =>
			client.ask("variables", { variablesReference }),
		),
	);
	for (const { name } of scopes) assert.equal(typeof name, "string");
	return listed.flatMap(({ variables }) => variables) as { name: string; value: string; variablesReference: number }[];
}

test("before it is switched on: the state, and the variables for the table", async () => {
	const first = await client.kernel.ask("debug_request", { type: "request", seq: 0, command: "debugInfo" }, "control");
	assert.equal(first.success, true);
	const info = await client.ask("debugInfo", {});
	const { isStarted, hashMethod, hashSeed, breakpoints, stoppedThreads, richRendering, copyToGlobals } = info;
	assert.deepEqual(
		{ isStarted, hashMethod, hashSeed, breakpoints, stoppedThreads, richRendering, copyToGlobals },
		{
			isStarted: false,
			hashMethod: "Murmur2",
			hashSeed: 0xc70f6907,
			breakpoints: [],
			stoppedThreads: [],
			richRendering: true,
			copyToGlobals: true,
		},
	);
	assert.ok(info.exceptionPaths.every((path: unknown) => typeof path === "string"));
	await client.kernel.execute("const nested = { inner: { deep: 7 } };");
	const { variables } = await client.ask("inspectVariables", {});
	const nested = variables.find(({ name }: { name: string }) => name === "nested");
	const { variables: within } = await client.ask("variables", { variablesReference: nested.variablesReference });
	assert.equal(within[0].name, "inner");
	assert.equal((await client.ask("richInspectVariables", { variableName: "x" })).data["text/plain"], "1");
	assert.deepEqual((await client.ask("modules", {})).modules, []);
	assert.equal((await client.ask("debugInfo", {})).isStarted, false, "looking attaches nothing");
});

test("switched on, a cell stops, is looked at, stepped through and left", async () => {
	await start();
	const { tmpFilePrefix, tmpFileSuffix } = await client.ask("debugInfo", {});
	assert.equal(await updateBreakpoints(definition.code), `${tmpFilePrefix}${definition.hash}${tmpFileSuffix}`);
	const path = await updateBreakpoints(calls, 4);
	await client.ask("configurationDone", {});
	assert.equal(
		(await client.ask("inspectVariables", {})).variables.some(({ name }: { name: string }) => name === "x"),
		true,
	);

	const id = client.run(calls);
	const { frames } = await client.stopped();
	assert.deepEqual(frames.map(({ name, line, source }) => [name, line, source.path]).slice(0, 1), [["sum", 4, path]]);
	assert.deepEqual((await client.ask("debugInfo", {})).stoppedThreads, [1]);
	const all = await look(frames[0]!.id);
	const list = all.find(({ name }) => name === "all")!;
	const expanded = await client.ask("variables", { variablesReference: list.variablesReference });
	assert.deepEqual(
		expanded.variables.slice(0, 3).map(({ value }: { value: string }) => value),
		["1", "2", "3"],
	);
	const rich = await client.ask("richInspectVariables", { variableName: "all", frameId: frames[0]!.id });
	assert.equal(rich.data["text/plain"], "[ 1, 2, 3 ]");
	assert.equal(typeof rich.metadata, "object");
	const evaluated = await client.ask("evaluate", { context: "repl", expression: "total + x", frameId: frames[0]!.id });
	assert.equal(evaluated.result, "1");
	const source = await client.ask("source", { source: { path }, sourceReference: 0 });
	assert.deepEqual([source.content, source.mimeType], [calls, "text/typescript"]);
	await client.ask("copyToGlobals", { srcVariableName: "all", dstVariableName: "all", srcFrameId: frames[0]!.id });
	await look(frames[0]!.id);
	assert.equal((await client.move("next")).reason, "step");
	await client.setBreakpoints(path);
	const { reply } = await client.finish(id);
	assert.equal(reply.status, "ok");
	assert.deepEqual(
		await client.ask("stackTrace", { threadId: 1 }),
		{ stackFrames: [], totalFrames: 0 },
		"asked too late",
	);
	const { variables } = await client.ask("inspectVariables", {});
	assert.ok(
		variables.some(({ name }: { name: string }) => name === "all"),
		"what was copied is a global",
	);
	for (const { path: file, name } of (await client.ask("modules", {})).modules) assert.ok(file.endsWith(name));
});

test("the filters of its menu, a restart of the debugger, and a restarted kernel", async () => {
	await client.ask("setExceptionBreakpoints", { filters: ["uncaught"] });
	const id = client.run("throw new Error('seen');");
	const stop = await client.stopped();
	assert.deepEqual([stop.reason, stop.frames[0]!.line], ["exception", 1]);
	assert.equal((await client.finish(id)).reply.evalue, "seen");
	await client.ask("setExceptionBreakpoints", { filters: [] });

	await updateBreakpoints(calls, 5);
	await client.ask("disconnect", { restart: false, terminateDebuggee: false });
	assert.equal((await client.kernel.execute(calls)).reply.status, "ok");
	assert.ok((await client.ask("inspectVariables", {})).variables.length > 0);
	await start();
	const path = await updateBreakpoints(calls, 5);
	const again = client.run(calls);
	assert.equal((await client.stopped()).frames[0]!.line, 5);
	await client.finish(again);
	const before = await client.ask("debugInfo", {});

	// Breakpoints move to the new kernel's paths; the cells are dumped there first.
	const other = new DebugClient(await KernelClient.start());
	try {
		const info = await other.ask("debugInfo", {});
		assert.notEqual(info.tmpFilePrefix, before.tmpFilePrefix);
		await start(other);
		const { sourcePath } = await other.ask("dumpCell", { code: calls });
		assert.equal(sourcePath, path.replace(before.tmpFilePrefix, info.tmpFilePrefix));
		assert.equal(readFileSync(sourcePath, "utf8"), calls);
		await other.setBreakpoints(sourcePath, 5);
		await other.ask("configurationDone", {});
		await other.kernel.execute(definition.code);
		const moved = other.run(calls);
		assert.equal((await other.stopped()).frames[0]!.line, 5);
		await other.finish(moved);
	} finally {
		await other.kernel.stop();
	}
});
