// How a kernel and its worker end: crashes are reported and survived, and a shutdown leaves nothing behind.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Exchange, KernelClient, type KernelOptions } from "./helpers/kernel-client.js";

const result = ({ iopub, reply }: Exchange): string => {
	assert.equal(reply.status, "ok", reply.evalue);
	return iopub.find(({ type }) => type === "execute_result")?.content.data["text/plain"];
};

/** True while a process runs; one that has ended and only waits to be collected by its parent does not. */
const alive = (pid: number): boolean => {
	try {
		process.kill(pid, 0);
		if (!existsSync("/proc/self/status")) return true;
		return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
	} catch (error) {
		// EPERM: it runs as someone else; ENOENT: it went in between.
		return (error as NodeJS.ErrnoException).code === "EPERM";
	}
};

/** Whether a process ends by itself. One that does not never does: a busy machine may take its time. */
async function gone(pid: number, timeoutMs = 30_000): Promise<boolean> {
	for (const end = Date.now() + timeoutMs; Date.now() < end; ) {
		if (!alive(pid)) return true;
		await new Promise((resolve) => setTimeout(resolve, 20));
	}
	return false;
}

/** Starts a kernel that is stopped when the test ends, however it ends. */
async function startFor(t: TestContext, options: KernelOptions = {}): Promise<KernelClient> {
	const kernel = await KernelClient.start(options);
	t.after(() => kernel.stop());
	return kernel;
}

const workerPid = async (kernel: KernelClient) => Number(result(await kernel.execute("process.pid")));

test("a worker that dies is reported by signal or exit code, and the next cell works", async (t) => {
	const kernel = await startFor(t);
	const cells: [name: string, code: string, evalue: RegExp][] = [
		["SIGKILL", "process.kill(process.pid, 'SIGKILL'); await new Promise(() => {})", /signal SIGKILL/],
		["abort", "process.abort()", /signal SIGABRT/],
		["a native exit", "(process as any).reallyExit(7)", /exit code 7/],
	];
	for (const [name, code, evalue] of cells) {
		await t.test(name, async () => {
			await kernel.execute("const before = 1;");
			const { reply, iopub } = await kernel.execute(code);
			assert.equal(reply.ename, "KernelWorkerDied");
			assert.match(reply.evalue, evalue);
			assert.match(reply.evalue, /variables of earlier cells are gone/);
			assert.equal(iopub.at(-1)!.content.execution_state, "idle");
			assert.equal(result(await kernel.execute("typeof (globalThis as any).before + (1 + 1)")), "'undefined2'");
		});
	}
	await t.test("output written right before the end arrives", async () => {
		const { stdout } = await kernel.execute("console.log('last words'); process.kill(process.pid, 'SIGKILL')");
		assert.equal(stdout, "last words\n");
	});
	await t.test("nothing looks for the ends of cells that died", async () => {
		const { stdout } = await kernel.execute('import { writeSync } from "node:fs"; writeSync(1, "end\\u0000");');
		assert.equal(stdout, "end\u0000");
	});
	await t.test("between two cells", async () => {
		const heard = () => kernel.messages.filter(({ content }) => /SIGKILL/.test(content.text)).length;
		const before = heard();
		process.kill(await workerPid(kernel), "SIGKILL");
		await kernel.until(() => heard() > before);
		assert.equal(result(await kernel.execute("'again'")), "'again'");
	});
});

test("a cell that takes too much memory is reported as that", async (t) => {
	const kernel = await startFor(t, { env: { NODE_OPTIONS: "--max-old-space-size=200" } });
	const { reply } = await kernel.execute("const held: number[][] = []; for (;;) held.push(new Array(1e6).fill(1.5))");
	assert.match(reply.evalue, /out of memory/);
	assert.equal(result(await kernel.execute("1 + 1")), "2");
});

for (const channel of ["control", "shell"] as const) {
	test(`a shutdown request on ${channel} is answered and leaves no process and no folder, even while a cell loops`, async (t) => {
		const temporary = mkdtempSync(join(tmpdir(), "octavo-shutdown-"));
		t.after(() => rmSync(temporary, { recursive: true, force: true }));
		const kernel = await startFor(t, { env: { TMPDIR: temporary } });
		const pids = [kernel.process.pid!, await workerPid(kernel)];
		if (channel === "control") kernel.send("execute_request", { code: "while (true);" });
		const reply = await kernel.ask("shutdown_request", { restart: true }, channel);
		assert.deepEqual(reply, { status: "ok", restart: true });
		for (const pid of pids) assert.ok(await gone(pid), `process ${pid} still runs`);
		await kernel.until(() => kernel.process.exitCode === 0);
		assert.deepEqual(readdirSync(temporary), []);
	});
}

test("SIGTERM ends the kernel and its worker", async (t) => {
	const kernel = await startFor(t);
	const worker = await workerPid(kernel);
	const start = performance.now();
	kernel.process.kill("SIGTERM");
	assert.ok(await gone(worker));
	assert.ok(await gone(kernel.process.pid!));
	// Jupyter kills after five seconds what it has asked to end.
	assert.ok(performance.now() - start < 5000);
});

test("the worker ends when the front process is killed, even while a cell loops", async (t) => {
	const kernel = await startFor(t);
	const worker = await workerPid(kernel);
	const id = kernel.send("execute_request", { code: "console.log('loops'); while (true);" });
	await kernel.until(() => kernel.messages.some(({ parentId, type }) => parentId === id && type === "stream"));
	kernel.process.kill("SIGKILL");
	assert.ok(await gone(worker), "the worker still runs");
});

test("the kernel ends when the Jupyter process that started it dies", async (t) => {
	// A shell in the middle plays the Jupyter process: it passes its own id and is then killed.
	const main = join(import.meta.dirname, "..", "kernel", "main.js");
	const script = `JPY_PARENT_PID=$$ "${process.execPath}" "${main}" kernel --connection-file "{connection_file}" & echo $! >&2; wait`;
	const kernel = await startFor(t, { argv: ["sh", "-c", script] });
	const front = Number(/\d+/.exec(kernel.notes)?.[0]);
	const worker = await workerPid(kernel);
	kernel.process.kill("SIGKILL");
	assert.ok(await gone(front), "the front process still runs");
	assert.ok(await gone(worker), "the worker still runs");
});

test("a bad connection file ends the command with a clear error", async () => {
	const main = join(import.meta.dirname, "..", "kernel", "main.js");
	const child = spawn(process.execPath, [main, "kernel", "--connection-file", "/nowhere.json"]);
	let told = "";
	child.stderr.on("data", (bytes) => {
		told += bytes;
	});
	const code = await new Promise((resolve) => child.once("close", resolve));
	assert.equal(code, 1);
	assert.match(told, /ERR_OCTAVO_CONNECTION_FILE/);
});

test("a worker that cannot start is tried anew with each cell, and not for ever in between", async (t) => {
	const folder = mkdtempSync(join(tmpdir(), "octavo-no-worker-"));
	t.after(() => rmSync(folder, { recursive: true, force: true }));
	const started = join(folder, "started");
	const preload = join(folder, "preload.cjs");
	const lines = [
		`const { appendFileSync, existsSync } = require("node:fs");`,
		`if (process.argv[1]?.endsWith("worker.js") && !existsSync(${JSON.stringify(join(folder, "may"))})) {`,
		`	appendFileSync(${JSON.stringify(started)}, ".");`,
		`	process.exit(3);`,
		`}`,
	];
	writeFileSync(preload, lines.join("\n"));
	const kernel = await startFor(t, { env: { NODE_OPTIONS: `--require ${preload}` } });
	const starts = () => (existsSync(started) ? readFileSync(started, "utf8").length : 0);
	await kernel.until(() => starts() > 0);
	const { reply } = await kernel.execute("1 + 1");
	assert.equal(reply.ename, "KernelWorkerDied");
	assert.match(reply.evalue, /ended with exit code 3 while it started\. The next cell tries again\.$/);
	const before = starts();
	await kernel.ask("interrupt_request", {}, "control");
	await new Promise((resolve) => setTimeout(resolve, 1000));
	assert.equal(starts(), before, "it was started again though nobody asked");
	writeFileSync(join(folder, "may"), "");
	assert.equal(result(await kernel.execute("2 + 2")), "4");
});
