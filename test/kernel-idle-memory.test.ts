// What a kernel that is only open holds: memory goes back once nothing is asked, and nothing of that shows in a cell.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { kernelSpec } from "../kernel/kernelspec.js";
import { KernelClient } from "./helpers/kernel-client.js";

const value = async (kernel: KernelClient, code: string): Promise<string> => {
	const { reply, iopub } = await kernel.execute(code);
	assert.equal(reply.status, "ok", reply.evalue);
	return iopub.find(({ type }) => type === "execute_result")?.content.data["text/plain"];
};

const hasProc = existsSync("/proc/self/status");
const skip = hasProc ? false : "the system does not tell a process's memory";

const residentMiB = (pid: number): number =>
	Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024;

test("memory that a cell has dropped goes back when nothing is asked, and variables stay", { skip }, async () => {
	const kernel = await KernelClient.start();
	try {
		const pid = Number(await value(kernel, "process.pid"));
		// Kept for a while, so that it has left the space for new objects.
		await kernel.execute("let big = Array.from({ length: 1_500_000 }, (_, n) => ({ n })); const { length } = big;");
		await kernel.execute("big = [];");
		const before = residentMiB(pid);
		let after = before;
		// V8 itself would begin to after eight seconds.
		for (const end = Date.now() + 6000; after > before - 40 && Date.now() < end; after = residentMiB(pid))
			await sleep(100);
		assert.ok(after <= before - 40, `${before.toFixed(0)} MiB became ${after.toFixed(0)}`);
		assert.equal(await value(kernel, "length"), "1500000");
	} finally {
		await kernel.stop();
	}
});

test("after an idle time the heap may grow by half before V8 marks it again", async () => {
	const kernel = await KernelClient.start();
	try {
		// Told without a request, which would begin the idle time anew.
		await kernel.execute(
			"import { PerformanceObserver } from 'node:perf_hooks';" +
				"let majors = 0; const count = (list: any) => { for (const { detail } of list.getEntries()) if (detail.kind > 2) console.log('collected', ++majors); };" +
				"const observer = new PerformanceObserver(count); observer.observe({ entryTypes: ['gc'] });",
		);
		const told = () =>
			kernel.messages.filter(({ type, content }) => type === "stream" && /collected/.test(content.text));
		await kernel.until(() => told().length > 0);
		// One cell, in which nothing else is collected; what was begun meanwhile has been told by its end.
		const cell =
			"const before = majors; const kept: object[] = []; for (let n = 0; n < 400_000; n++) kept.push({ n, text: String(n) });" +
			"await new Promise((resolve) => setTimeout(resolve, 200)); majors - before";
		assert.equal(await value(kernel, cell), "0");
	} finally {
		await kernel.stop();
	}
});

test("cells see the environment as the user set it", { skip }, async () => {
	const code =
		"[process.env.MALLOC_ARENA_MAX, Object.keys(process.env).filter((name) => name.includes('ARENA')).length]";
	for (const [env, seen, started] of [
		[{ MALLOC_ARENA_MAX: undefined }, "[ undefined, 0 ]", "2"],
		[{ MALLOC_ARENA_MAX: "4" }, "[ '4', 1 ]", "4"],
		[kernelSpec().env, "[ undefined, 0 ]", "2"],
	] as const) {
		const kernel = await KernelClient.start({ env: { ...env } });
		try {
			assert.equal(await value(kernel, code), seen);
			const pid = await value(kernel, "process.pid");
			const variables = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
			assert.ok(variables.includes(`MALLOC_ARENA_MAX=${started}`));
		} finally {
			await kernel.stop();
		}
	}
});
