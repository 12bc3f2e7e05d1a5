// What VS Code's Jupyter extension needs of a kernel, over raw ZeroMQ: it finds the kernelspec by its place, starts its
// command, and speaks the protocol in this order, with no extension of ours. It is not VS Code itself that runs here.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { isAbsolute, join } from "node:path";
import { after, before, test } from "node:test";
import { DebugClient, frontEnd } from "./helpers/debug-client.js";
import { KernelClient } from "./helpers/kernel-client.js";

const main = join(import.meta.dirname, "..", "kernel", "main.js");
/** As @jupyterlab/services fills in what the extension runs for itself. */
const unseen = { silent: true, store_history: false, user_expressions: {}, allow_stdin: false, stop_on_error: false };
const shown = { silent: false, store_history: true, user_expressions: {}, allow_stdin: true, stop_on_error: true };
let home: string;
let spec: { argv: string[]; interrupt_mode: string; language: string; metadata: { debugger: boolean } };
let kernel: KernelClient;

before(async () => {
	home = mkdtempSync(join(tmpdir(), "octavo-vscode-"));
	const { XDG_DATA_HOME: _, JUPYTER_DATA_DIR: __, ...env } = process.env;
	const done = spawnSync(process.execPath, [main, "install", "--no-snapshot"], { env: { ...env, HOME: home } });
	assert.equal(done.status, 0, String(done.stderr));
});

after(async () => {
	await kernel?.stop();
	rmSync(home, { recursive: true, force: true });
});

test("the kernelspec lies where front ends look for a user's, and its command runs from any folder", async () => {
	const kernels = process.platform === "darwin" ? "Library/Jupyter/kernels" : ".local/share/jupyter/kernels";
	assert.deepEqual(readdirSync(join(home, kernels)), ["octavo"]);
	spec = JSON.parse(readFileSync(join(home, kernels, "octavo", "kernel.json"), "utf8"));
	assert.equal(spec.argv.filter((part) => part === "{connection_file}").length, 1);
	assert.ok(isAbsolute(spec.argv[0]!) && isAbsolute(spec.argv[1]!), "no PATH is needed");
	assert.equal(spec.language, "typescript");
	assert.equal(spec.metadata.debugger, true, "the extension offers its debugger by this");
	// No PATH, as under a desktop: nothing is looked up.
	kernel = await KernelClient.start({ argv: spec.argv, folder: home, env: { PATH: "" } });
});

test("at the start: kernel_info, silent cells that leave no trace, comm_info; then the user's first cell is number 1", async () => {
	const info = await kernel.ask("kernel_info_request", {});
	assert.deepEqual(
		[info.status, info.language_info.name, info.language_info.file_extension],
		["ok", "typescript", ".ts"],
	);
	assert.deepEqual(info.supported_features, ["debugger", "kernel subshells"]);
	for (const code of ["1 + 1", "console.log('unseen')", "throw new Error('unseen')", ""]) {
		const { reply, iopub } = await kernel.execute(code, unseen);
		assert.equal(reply.execution_count, 0, code);
		const seen = iopub.filter(({ type }) => type !== "status" && type !== "stream" && type !== "error");
		assert.deepEqual(
			seen.map(({ type }) => type),
			[],
			code,
		);
	}
	assert.deepEqual(await kernel.ask("comm_info_request", { target_name: "jupyter.widget" }), {
		status: "ok",
		comms: {},
	});
	const id = kernel.send("execute_request", { code: "const x: number = 20;\nx + 1", ...shown }, "shell", {
		cellId: "first",
	});
	const { reply, iopub } = await kernel.exchange(id);
	assert.equal(reply.execution_count, 1);
	assert.deepEqual(
		iopub.map(({ type }) => type),
		["status", "execute_input", "execute_result", "status"],
	);
});

test("a completion that is asked for while a cell runs is answered when it is over, whatever its end", async () => {
	for (const [code, ended] of [
		["await prompt('End? ');", "ok"],
		["await prompt('End? ');\nthrow new Error('no');", "error"],
	] as const) {
		const cell = kernel.send("execute_request", { code, ...shown });
		const asked = ["x.toFi", "x.toPr"].map((text) =>
			kernel.send("complete_request", { code: text, cursor_pos: text.length }),
		);
		const info = await kernel.ask("kernel_info_request", {}, "control");
		assert.equal(info.status, "ok");
		assert.ok(!kernel.messages.some(({ parentId, type }) => parentId === cell && type === "execute_reply"), "at once");
		await kernel.answerInput(cell, "now");
		assert.equal((await kernel.reply(cell)).status, ended);
		assert.deepEqual((await kernel.reply(asked[0]!)).matches, ["toFixed"]);
		assert.deepEqual((await kernel.reply(asked[1]!)).matches, ["toPrecision"]);
	}
});

test("interrupts by message and by signal end a loop, and the variables stay", async () => {
	const ways = [
		() => kernel.ask("interrupt_request", {}, "control"),
		async () => {
			kernel.process.kill("SIGINT");
		},
	];
	assert.equal(spec.interrupt_mode, "message");
	for (const interrupt of ways) {
		for (const loop of ["while (true);", "await new Promise(() => {});"]) {
			const id = kernel.send("execute_request", { code: `console.log("runs");\n${loop}`, ...shown });
			const next = kernel.send("execute_request", { code: "x", ...shown });
			await kernel.until(() => kernel.messages.some(({ parentId, type }) => parentId === id && type === "stream"));
			await interrupt();
			assert.equal((await kernel.reply(id)).ename, "Interrupted", loop);
			assert.equal((await kernel.reply(next)).status, "aborted");
		}
	}
	const { iopub } = await kernel.execute("x", shown);
	assert.equal(iopub.find(({ type }) => type === "execute_result")?.content.data["text/plain"], "20");
});

test("debugging a cell in the order of a front end", async () => {
	const client = new DebugClient(kernel);
	const capabilities = await client.ask("initialize", {
		clientID: "vscode",
		adapterID: "",
		...frontEnd,
	});
	assert.equal(typeof capabilities, "object");
	await client.ask("attach", {});
	const code = "let sum = 0;\nfor (const n of [1, 2]) {\n  sum += n;\n}\nsum";
	const { sourcePath } = await client.ask("dumpCell", { code });
	const info = await client.ask("debugInfo");
	assert.equal(info.isStarted, true);
	assert.ok(sourcePath.startsWith(info.tmpFilePrefix) && sourcePath.endsWith(info.tmpFileSuffix));
	const [set] = await client.setBreakpoints(sourcePath, 3);
	assert.deepEqual([set!.verified, set!.line], [true, 3]);
	await client.ask("setExceptionBreakpoints", { filters: [] });
	await client.ask("configurationDone");
	const id = client.run(code);
	const { frames } = await client.stopped();
	assert.deepEqual([frames[0]!.line, frames[0]!.source.path], [3, sourcePath]);
	assert.equal((await client.ask("threads")).threads.length, 1);
	const locals = await client.variables(frames[0]!.id, "Locals");
	assert.ok(
		locals.some(({ name, value }) => name === "n" && value === "1"),
		JSON.stringify(locals),
	);
	assert.equal((await client.move("continue")).frames[0]!.line, 3);
	await client.setBreakpoints(sourcePath);
	const { reply } = await client.finish(id);
	assert.equal(reply.status, "ok");
	await client.ask("disconnect", { restart: false, terminateDebuggee: false });
	assert.equal((await client.ask("debugInfo")).isStarted, false);
});

test("a shutdown ends the process that the front end started", async () => {
	const exited = new Promise((resolve) => kernel.process.once("exit", resolve));
	const reply = await kernel.ask("shutdown_request", { restart: false }, "control");
	assert.deepEqual([reply.status, reply.restart], ["ok", false]);
	assert.equal(await exited, 0);
});
