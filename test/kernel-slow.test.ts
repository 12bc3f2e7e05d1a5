// Requests that come while a cell is being ended, on a machine so slow that the kernel's own code takes as long as what an
// interrupt terminates. The slowness is made: cells replace functions that the kernel calls too.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, test } from "node:test";
import { KernelClient } from "./helpers/kernel-client.js";

let kernel: KernelClient;

beforeEach(async () => {
	kernel = await KernelClient.start();
	await kernel.execute(
		"comms.onOpen('echo', (comm, { data }) => { comm.send(data); comm.onMessage((event) => comm.send(event.data)); });",
	);
});

afterEach(() => kernel.stop());

const said = (id: string): unknown[] =>
	kernel.messages
		.filter(({ type, content }) => type === "comm_msg" && content.comm_id === id)
		.map((m) => m.content.data);

/** Lets a function of the worker's take longer than a running cell has to yield. */
const slowDown = (object: string, name: string) =>
	`{ const fast = ${object}.${name}; ${object}.${name} = function (...args: any[]) {` +
	" for (const end = performance.now() + 40; performance.now() < end; ); return (fast as any).apply(this, args); } as any; }\n";

for (const [what, slow] of Object.entries({
	"reading a request": slowDown("JSON", "parse"),
	"the next turn": slowDown("Array.prototype", "shift"),
})) {
	test(`no message is lost where ${what} takes long`, async () => {
		const id = randomUUID();
		kernel.send("comm_open", { comm_id: id, target_name: "echo", data: 0 });
		await kernel.until(() => said(id).length === 1);
		const loop = kernel.send("execute_request", { code: `${slow}console.log('on'); while (true);` });
		await kernel.until(() => kernel.messages.some(({ parentId, type }) => parentId === loop && type === "stream"));
		for (const data of [1, 2, 3]) kernel.send("comm_msg", { comm_id: id, data });
		await kernel.ask("interrupt_request", {}, "control");
		assert.equal((await kernel.exchange(loop)).reply.ename, "Interrupted");
		await kernel.until(() => said(id).length === 4);
		assert.deepEqual(said(id), [0, 1, 2, 3]);
		assert.equal((await kernel.execute("'fine'")).reply.status, "ok");
	});
}

test("a session and a batch whose call an interrupt ends in the midst go on all the same", async () => {
	const begins = [
		"import { loadModel, policies } from 'octavo';",
		"const model = await loadModel(); const session = model.session(); session.prefillSync([1, 150]);",
		"const batch = model.batch({ blockSize: 8, numBlocks: 64 });",
		"const sequence = batch.add([1, 150], { maxTokens: 200, endTokens: [] });",
		// Looked at between the native calls, with no await of the cell's own.
		"let loops = true; let seen = 0;",
		"const looks = () => { console.log('on'); while (loops && seen++ < 1e12); return false; };",
		"session.breakOn('token', looks); sequence.breakOn('layer', looks);",
		"const policy = policies.custom({ budget: 24, score: ({ keys }) => (looks() ? 0 : keys.data[0]!) });",
		"const scored = model.session({ blockSize: 8, policy }); scored.prefillSync(Array.from({ length: 24 }, (_, i) => 1 + i));",
	];
	assert.equal((await kernel.execute(begins.join("\n"))).reply.status, "ok");
	for (const code of [
		"await session.run({ maxTokens: 5 })",
		"await batch.run()",
		"await scored.run({ maxTokens: 20 })",
	]) {
		const running = kernel.send("execute_request", { code });
		await kernel.until(() => kernel.messages.some(({ parentId, type }) => parentId === running && type === "stream"));
		await kernel.ask("interrupt_request", {}, "control");
		assert.equal((await kernel.exchange(running)).reply.ename, "Interrupted");
	}
	const after =
		"loops = false; const { numSteps } = await session.run({ maxTokens: 3 }); const { reason } = await batch.run();" +
		" const rest = await scored.run({ maxTokens: 9 }); [numSteps, reason, rest.numSteps]";
	const { reply, iopub } = await kernel.execute(after);
	assert.equal(reply.status, "ok", reply.evalue);
	const result = iopub.find(({ type }) => type === "execute_result");
	assert.equal(result!.content.data["text/plain"], "[ 3, 'done', 9 ]");
});
