// Floods of output: what one cell may print, over raw ZeroMQ; and the limit itself, piece by piece.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { OutputLimit, outputLimit } from "../kernel/protocol/output-limit.js";
import { KernelClient } from "./helpers/kernel-client.js";

/** Shows what a limit of `limit` lets through of pieces of stdout. */
function through(limit: number, pieces: readonly string[]): { stdout: string; stderr: string } {
	const shown = { stdout: "", stderr: "" };
	const counted = new OutputLimit(limit, (name, text) => {
		assert.ok(Buffer.from(text).toString() === text, "no half characters");
		shown[name] += text;
	});
	for (const piece of pieces) counted.write("stdout", piece);
	counted.end();
	return shown;
}

test("text up to the limit passes unchanged, and no notice comes", () => {
	assert.deepEqual(through(10, ["12345", "67890"]), { stdout: "1234567890", stderr: "" });
});

test("beyond the limit the beginning and the end are shown, with what was left out between", () => {
	const { stdout, stderr } = through(10, ["1234567", "890abc", "d".repeat(50_000), "the end\n"]);
	assert.ok(stdout.startsWith("1234567890d"));
	assert.ok(stdout.endsWith("ddthe end\n"));
	assert.equal(stdout.length, 10 + 16 * 1024);
	assert.match(stderr, /Output limit reached: .*more than 10 characters/);
	assert.match(stderr, /… 33\d\d\d characters left out …/);
});

test("characters of two units are never cut", () => {
	const { stdout } = through(7, ["😀".repeat(5), "😀".repeat(30_000)]);
	assert.ok(stdout.startsWith("😀😀😀😀"));
	through(8, [`a${"😀".repeat(30_000)}`]);
	// The end that is kept begins in the middle of one.
	assert.ok(through(8, ["😀".repeat(30_000), "a"]).stdout.endsWith("😀😀a"));
});

test("the environment sets the limit, and nonsense is refused", () => {
	assert.equal(outputLimit({}), 16 * 1024 * 1024);
	assert.equal(outputLimit({ OCTAVO_OUTPUT_LIMIT: "0.5" }), 512 * 1024);
	assert.throws(() => outputLimit({ OCTAVO_OUTPUT_LIMIT: "much" }), {
		code: "ERR_OCTAVO_OPTION",
		message: /received "much"/,
	});
	assert.throws(() => outputLimit({ OCTAVO_OUTPUT_LIMIT: "-1" }), { code: "ERR_OCTAVO_OPTION" });
});

const resident = (pid: number): number =>
	Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024;

test("100 MB of output are limited with a notice, memory stays, and the next cell prints as ever", {
	skip: process.platform !== "linux" && "reads /proc",
}, async () => {
	const kernel = await KernelClient.start();
	try {
		const worker = Number(await text(kernel, "process.pid"));
		const before = [resident(kernel.process.pid!), resident(worker)];
		const floods = [
			"const line = 'x'.repeat(999); for (let i = 0; i < 100_000; i++) console.log(line); console.error('last words');",
			"process.stdout.write('y'.repeat(100e6)); console.error('last words');",
			"import { spawnSync } from 'node:child_process'; spawnSync('sh', ['-c', 'yes | head -c 100000000; echo last words >&2'], { stdio: 'inherit' });",
		];
		for (const flood of floods) {
			const { reply, stdout, stderr } = await kernel.execute(flood, {}, 60_000);
			assert.equal(reply.status, "ok");
			assert.ok(stdout.length > 16e6 && stdout.length < 17e6, `${stdout.length} characters`);
			assert.match(stderr, /Output limit reached: this cell has printed more than 16\.8 million characters/);
			assert.match(stderr, /… 83\.\d million characters left out …/);
			assert.match(stderr, /last words/);
			kernel.messages.length = 0;
		}
		const grown = [resident(kernel.process.pid!), resident(worker)].map((now, i) => now - before[i]!);
		// The second flood is a string of 100 MB in the worker itself.
		assert.ok(grown[0]! < 200 && grown[1]! < 450, `grown by ${grown.map((mib) => mib.toFixed(0))} MiB`);
		assert.equal((await kernel.execute("console.log('as ever')")).stdout, "as ever\n");
	} finally {
		await kernel.stop();
	}
});

async function text(kernel: KernelClient, code: string): Promise<string> {
	const { iopub } = await kernel.execute(code);
	return iopub.find(({ type }) => type === "execute_result")!.content.data["text/plain"];
}
