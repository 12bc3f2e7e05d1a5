// The debugger where things go wrong, over raw ZeroMQ: interrupts, crashes and shutdowns at a breakpoint, leaving in the
// middle, requests that nobody should send.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { DebugClient } from "./helpers/debug-client.js";

let client: DebugClient;

before(async () => {
	client = await DebugClient.start();
	await client.kernel.execute("let counter = 1;");
});

after(() => client.kernel.stop());

const result = async (code: string) => {
	const { reply, iopub } = await client.kernel.execute(code);
	assert.equal(reply.status, "ok", reply.evalue);
	return iopub.find(({ type }) => type === "execute_result")?.content.data["text/plain"];
};

const cells: Record<string, string> = {
	"a cell": "counter++;\ncounter++;\ncounter",
	"a cell after an await": "await new Promise((done) => setTimeout(done, 1));\ncounter++;\ncounter",
	"a loop that catches everything": "while (true) {\n  try { counter++; } catch {}\n}",
};

for (const [name, code] of Object.entries(cells)) {
	test(`an interrupt ends ${name} at a breakpoint, and the debugger goes on`, async () => {
		const path = await client.breakAt(code, 2);
		const id = client.run(code);
		await client.stopped();
		const continued = client.events("continued").length;
		assert.ok((await client.kernel.beat()) < 20_000);
		assert.equal((await client.kernel.ask("kernel_info_request", {}, "control")).status, "ok");
		await client.kernel.ask("interrupt_request", {}, "control");
		assert.equal((await client.kernel.exchange(id)).reply.ename, "Interrupted");
		await client.kernel.until(() => client.events("continued").length > continued);
		assert.deepEqual((await client.ask("debugInfo")).stoppedThreads, []);
		assert.match((await result("counter")) ?? "", /^\d+$/);
		const again = client.run(code);
		assert.equal((await client.stopped()).frames[0]!.line, 2);
		await client.setBreakpoints(path);
		await client.kernel.ask("interrupt_request", {}, "control");
		await client.kernel.exchange(again);
	});
}

test("an interrupt ends an expression that does not end, in a frame and without one, and then the cell", async () => {
	const code = "counter = 5;\ncounter;";
	const path = await client.breakAt(code, 2);
	const id = client.run(code);
	const { frames } = await client.stopped();
	const interrupted = async (args: object) => {
		const file = join(client.kernel.folder, randomUUID());
		const says = `process.getBuiltinModule("fs").writeFileSync(${JSON.stringify(file)}, "")`;
		const evaluation = client.request("evaluate", { expression: `${says}; while (true);`, ...args });
		await client.kernel.until(() => existsSync(file));
		await client.kernel.ask("interrupt_request", {}, "control");
		// Without an interrupt it ends too, after ten seconds, by another name.
		const { success, message } = await evaluation;
		assert.deepEqual([success, /interrupted/.test(message)], [false, true], message);
	};
	await interrupted({ frameId: frames[0]!.id });
	assert.equal((await client.kernel.exchange(id)).reply.ename, "Interrupted");
	await client.setBreakpoints(path);
	await interrupted({});
	assert.equal(await result("counter"), "5");
});

test("whoever leaves last is away: a disconnect ends an attachment that is under way or waits its turn", async () => {
	const code = "let left = 9;\nleft;";
	const path = await client.breakAt(code, 2);
	for (const leave of ["disconnect", "terminate"]) {
		await client.ask("disconnect");
		const requests = ["attach", "richInspectVariables", "attach", leave].map((command) =>
			client.request(command, { variableName: "counter" }),
		);
		const [, , , left] = await Promise.all(requests);
		assert.equal(left.success, true);
		assert.equal((await client.ask("debugInfo")).isStarted, false, leave);
		assert.equal(await result(code), "9");
	}
	const [first, , second] = await Promise.all(
		["attach", "disconnect", "attach"].map((command) => client.request(command)),
	);
	assert.ok(first.success || /disconnected/.test(first.message), first.message);
	assert.equal(second.success, true, second.message);
	assert.equal((await client.ask("debugInfo")).isStarted, true);
	await client.setBreakpoints(path, 2);
	const id = client.run(code);
	assert.equal((await client.stopped()).frames[0]!.line, 2);
	await client.setBreakpoints(path);
	await client.finish(id);
});

test("an expression sees and sets what its frame does, and its errors are its own", async () => {
	const code =
		"function inner(this: any, a: number) {\n  let b = a;\n  return [b, this.own];\n}\ninner.call({ own: 3 }, 4);";
	const path = await client.breakAt(code, 3);
	const id = client.run(code);
	const { frames } = await client.stopped();
	const evaluate = async (expression: string) =>
		(await client.request("evaluate", { expression, frameId: frames[0]!.id })).body.result;
	assert.equal(await evaluate("[a, b, this.own, arguments.length].join()"), "'4,4,3,1'");
	assert.equal(await evaluate("let twice = 2 * b; b = twice; b"), "8");
	const { success, message } = await client.request("evaluate", { expression: "nowhere", frameId: frames[0]!.id });
	assert.deepEqual([success, message], [false, "ReferenceError: nowhere is not defined"]);
	await client.request("continue", { threadId: 1 });
	assert.equal((await client.kernel.exchange(id)).reply.status, "ok");
	await client.setBreakpoints(path);
});

const hostile: [command: unknown, args: unknown][] = [
	[undefined, {}],
	[7, {}],
	["constructor", {}],
	["selfDestruct", { force: true }],
	["setBreakpoints", null],
	["setBreakpoints", { source: {}, breakpoints: [] }],
	["setBreakpoints", { source: { path: 3 }, breakpoints: [] }],
	["setBreakpoints", { source: { path: "x" }, breakpoints: [{ line: -1 }] }],
	["setBreakpoints", { source: { path: "x" }, breakpoints: [{ line: 1e300 }] }],
	["setBreakpoints", { source: { path: "x" }, breakpoints: "all" }],
	["setBreakpoints", { source: { path: "x" }, breakpoints: [{ line: 1, condition: {} }] }],
	["setExceptionBreakpoints", { filters: ["some"] }],
	["setExceptionBreakpoints", {}],
	["dumpCell", {}],
	["source", { source: { path: "/nowhere/at/all" } }],
	["stackTrace", { threadId: 1, levels: -1 }],
	["scopes", { frameId: 1 }],
	["variables", { variablesReference: 0 }],
	["variables", { variablesReference: 123456 }],
	["variables", { variablesReference: "1); process.exit(" }],
	["evaluate", { expression: 1 }],
	["evaluate", { expression: "counter", frameId: 99 }],
	["richInspectVariables", { variableName: "no such" }],
	["copyToGlobals", { srcVariableName: "counter", dstVariableName: "x", srcFrameId: -1 }],
	["continue", { threadId: 1 }],
	["next", []],
	["exceptionInfo", { threadId: 1 }],
];

test("requests that make no sense are refused with a message, and nothing is lost", async () => {
	for (const [command, args] of hostile) {
		const response = await client.request(command, args);
		const what = `${JSON.stringify(command)} ${JSON.stringify(args)}`;
		assert.equal(response.type, "response", what);
		assert.equal(response.success, false, what);
		assert.ok(response.message.length > 10, what);
		assert.equal(response.body.error.showUser, true, what);
	}
	assert.equal(await result("counter"), "5");
	assert.equal((await client.ask("debugInfo")).isStarted, true);
});

test("disconnecting lets a stopped cell go on, and forgets breakpoints", async () => {
	const code = "counter = 6;\ncounter += 1;\ncounter";
	await client.breakAt(code, 2);
	const id = client.run(code);
	await client.stopped();
	await client.ask("disconnect", { restart: false, terminateDebuggee: false });
	assert.equal((await client.kernel.exchange(id)).reply.status, "ok");
	const info = await client.ask("debugInfo");
	assert.deepEqual([info.isStarted, info.breakpoints, info.stoppedThreads], [false, [], []]);
	assert.equal((await client.kernel.execute(code)).reply.status, "ok");
	assert.match(await client.refused("evaluate", { expression: "counter" }), /attach/);
	assert.match(await client.refused("stackTrace", { threadId: 1 }), /stopped thread/);
	await client.ask("attach");
});

test("a worker that dies at a breakpoint is replaced, and its breakpoints hold in the next one", async () => {
	const code = "let fresh = 1;\nfresh += 1;\nfresh";
	const pid = Number(await result("process.pid"));
	const path = await client.breakAt(code, 2);
	const id = client.run(code);
	await client.stopped();
	const info = await client.ask("debugInfo");
	assert.deepEqual(info.stoppedThreads, [1]);
	assert.equal(info.breakpoints[0].source, path);
	assert.equal(info.breakpoints[0].breakpoints[0].line, 2);
	process.kill(pid, "SIGKILL");
	assert.equal((await client.kernel.exchange(id)).reply.ename, "KernelWorkerDied");
	// At once: the next worker has neither started nor been attached to.
	const after = await client.ask("debugInfo");
	const again = client.run(code);
	assert.deepEqual([after.isStarted, after.stoppedThreads, after.breakpoints.length], [true, [], 1]);
	assert.equal((await client.stopped()).frames[0]!.line, 2);
	assert.equal((await client.finish(again)).reply.status, "ok");
});

/** Kills the worker, and stops the one that takes its place before the debugger can be attached to it. */
async function stopNextWorker({ kernel }: DebugClient): Promise<number> {
	const { pid } = kernel.process;
	for (;;) {
		const { stdout } = await kernel.execute("console.log(process.pid)");
		process.kill(Number(stdout), "SIGKILL");
		let next: number | undefined;
		while (next === undefined) {
			await new Promise((resolve) => setImmediate(resolve));
			const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number);
			// Before it runs its own program, its parent waits for it.
			const isWorker = (child: number) => readFileSync(`/proc/${child}/cmdline`, "utf8").includes("worker.js");
			next = children.find((child) => child !== 0 && child !== Number(stdout) && isWorker(child));
		}
		process.kill(next, "SIGSTOP");
		// Node.js alone takes more than 30 ms of a processor before it runs any program. Who was not quick enough tries again.
		const times = readFileSync(`/proc/${next}/stat`, "utf8").split(") ").at(-1)!.split(" ");
		if (Number(times[11]) + Number(times[12]) < 3) return next;
		process.kill(next, "SIGCONT");
	}
}

const skip = process.platform === "linux" ? false : "needs /proc";

test("a cell that waits until the debugger holds the next worker can be interrupted, and others are answered", {
	skip,
}, async () => {
	const next = await stopNextWorker(client);
	const id = client.run("console.log('ran');");
	const heard = () => client.kernel.messages.some(({ parentId, type }) => parentId === id && type === "execute_input");
	await client.kernel.until(heard);
	assert.equal((await client.kernel.ask("kernel_info_request", {}, "control")).status, "ok");
	assert.ok((await client.kernel.beat()) < 20_000);
	await client.kernel.ask("interrupt_request", {}, "control");
	const { reply, stdout } = await client.kernel.exchange(id);
	assert.deepEqual([reply.status, reply.ename, stdout], ["error", "Interrupted", ""]);
	process.kill(next, "SIGCONT");
	assert.equal(await result("let fresh = 2; fresh"), "2");
	assert.equal((await client.ask("debugInfo")).isStarted, true);
});

test("a shutdown ends a kernel whose cell waits for the debugger", { skip }, async (t) => {
	const own = await DebugClient.start();
	t.after(() => own.kernel.stop());
	await stopNextWorker(own);
	const id = own.run("console.log('ran');");
	await own.kernel.until(() => own.kernel.messages.some(({ parentId }) => parentId === id));
	const exited = new Promise((resolve) => own.kernel.process.once("exit", resolve));
	assert.equal((await own.kernel.ask("shutdown_request", { restart: false }, "control")).status, "ok");
	assert.equal(await exited, 0);
});

test("a pause stops a loop, and a shutdown ends a stopped kernel", async () => {
	const id = client.run("console.log('runs');\nfor (let n = 0; ; ) n++;");
	await client.kernel.until(() =>
		client.kernel.messages.some((message) => message.parentId === id && message.type === "stream"),
	);
	await client.ask("pause", { threadId: 1 });
	const { reason, frames } = await client.stopped();
	assert.equal(reason, "pause");
	assert.equal(frames[0]!.line, 2);
	const exited = new Promise((resolve) => client.kernel.process.once("exit", resolve));
	const reply = await client.kernel.ask("shutdown_request", { restart: true }, "control");
	assert.deepEqual([reply.status, reply.restart], ["ok", true]);
	assert.equal(await exited, 0);
});
