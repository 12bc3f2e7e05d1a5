// The worker's end and stray failures in every state of a cell: the cell gets its one reply, and the kernel answers.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Exchange, KernelClient } from "./helpers/kernel-client.js";

let kernel: KernelClient;

before(async () => {
	kernel = await KernelClient.start();
});

after(() => kernel.stop());

const resultOf = ({ iopub, reply }: Exchange): string => {
	assert.equal(reply.status, "ok", reply.evalue);
	return iopub.find(({ type }) => type === "execute_result")?.content.data["text/plain"];
};

/** What a cell does when its worker ends; each says "here" first. */
const states: Record<string, string> = {
	"a cell computes": "while (true);",
	"a cell awaits": "await new Promise(() => {});",
	"a cell asks the user": "await prompt('Name? ');",
	"a cell asks the user and blocks": "prompt.sync('Name? ');",
	"a cell is in a native call": "import { spawnSync } from 'node:child_process'; spawnSync('sleep', ['20']);",
};

for (const [name, code] of Object.entries(states)) {
	test(`a worker that is killed while ${name}: one reply, and the next cell runs`, async () => {
		const pid = Number(resultOf(await kernel.execute("process.pid")));
		const id = kernel.send("execute_request", { code: `console.log('here');\n${code}`, allow_stdin: true });
		const heard = (type: string) => kernel.messages.some((message) => message.parentId === id && message.type === type);
		await kernel.until(() => heard(name.includes("asks") ? "input_request" : "stream"));
		const waiting = kernel.send("complete_request", { code: "consol", cursor_pos: 6 });
		process.kill(pid, "SIGKILL");
		const { reply, iopub } = await kernel.exchange(id);
		assert.equal(reply.ename, "KernelWorkerDied");
		assert.match(reply.evalue, /signal SIGKILL/);
		assert.equal(iopub.at(-1)!.content.execution_state, "idle");
		assert.equal((await kernel.reply(waiting)).status, "ok");
		const next = Number(resultOf(await kernel.execute("process.pid")));
		assert.notEqual(next, pid);
	});
}

/** What goes wrong beside a cell, 30 ms after it began. */
const strays: Record<string, [code: string, stderr: RegExp]> = {
	"an unhandled rejection": ["setTimeout(() => void Promise.reject(new Error('stray')), 30);", /stray/],
	"an exception in a timer": ["setTimeout(() => { throw new Error('stray'); }, 30);", /stray/],
	"process.exit in a timer": ["setTimeout(() => process.exit(3), 30);", /process\.exit|exit/],
};

for (const [name, [code, stderr]] of Object.entries(strays)) {
	test(`${name} while a cell awaits is told, and its variables stay`, async () => {
		const exchange = await kernel.execute(
			`let kept = ${JSON.stringify(name)};\n${code}\nawait new Promise((done) => setTimeout(done, 200));`,
		);
		const told = `${exchange.stderr}${(exchange.reply.traceback ?? []).join("\n")}`;
		assert.match(told, stderr);
		assert.equal(resultOf(await kernel.execute("kept")), `'${name}'`);
	});
}

test("a cell that exits while it awaits, and one that exits at once, are errors", async () => {
	for (const code of ["process.exit(1)", "await Promise.resolve(); process.exit()"]) {
		assert.equal((await kernel.execute(code)).reply.status, "error");
	}
	assert.equal(resultOf(await kernel.execute("1 + 1")), "2");
});
