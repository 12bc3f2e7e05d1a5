// Comms over raw ZeroMQ: opened from either side, bytes both ways, order, errors in handlers, and what a cell that runs
// does to them.

import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { type Exchange, KernelClient, type Received } from "./helpers/kernel-client.js";

let kernel: KernelClient;

before(async () => {
	kernel = await KernelClient.start();
	await kernel.execute(
		"const sleep = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));" +
			"comms.onOpen('echo', (comm, { data, buffers }) => { comm.send({ opened: data }, { buffers });" +
			" comm.onMessage((event) => comm.send(event.data, { buffers: event.buffers, metadata: event.metadata })); });",
	);
});

after(() => kernel.stop());

const result = ({ iopub }: Exchange): string | undefined =>
	iopub.find(({ type }) => type === "execute_result")?.content.data["text/plain"];

const said = (id: string): Received[] =>
	kernel.messages.filter(({ type, content }) => /^comm_/.test(type) && content.comm_id === id);

/** Waits for the nth message of the kernel over a comm; counts from 1. */
async function message(id: string, nth = 1): Promise<Received> {
	await kernel.until(() => said(id).length >= nth);
	return said(id)[nth - 1]!;
}

function open(target_name: string, data: unknown = {}, buffers: Buffer[] = []): string {
	const comm_id = randomUUID();
	kernel.send("comm_open", { comm_id, target_name, data }, "shell", {}, buffers);
	return comm_id;
}

const tell = (comm_id: string, data: unknown, buffers: Buffer[] = [], metadata: unknown = {}): string =>
	kernel.send("comm_msg", { comm_id, data }, "shell", metadata, buffers);

test("the front end opens a comm: data, metadata and bytes come back", async () => {
	const bytes = [randomBytes(5), Buffer.alloc(0), randomBytes(300_000)];
	const id = open("echo", { a: [1, null, "ü"] }, bytes);
	const opened = await message(id);
	assert.equal(opened.type, "comm_msg");
	assert.deepEqual(opened.content.data, { opened: { a: [1, null, "ü"] } });
	assert.deepEqual(opened.buffers, bytes);
	const request = tell(id, { n: 1 }, [bytes[2]!, bytes[0]!], { tag: "t" });
	const echoed = await message(id, 2);
	assert.equal(echoed.parentId, request);
	assert.deepEqual([echoed.content.data, echoed.metadata], [{ n: 1 }, { tag: "t" }]);
	assert.deepEqual(echoed.buffers, [bytes[2], bytes[0]]);
});

test("busy and idle stand around a comm message, with what its handler puts out between", async () => {
	await kernel.execute("comms.onOpen('talk', (comm) => { console.log('opened'); display(1); comm.send('x'); })");
	const comm_id = randomUUID();
	const request = kernel.send("comm_open", { comm_id, target_name: "talk", data: {} });
	const own = () => kernel.messages.filter(({ parentId }) => parentId === request);
	await kernel.until(() => own().at(-1)?.content.execution_state === "idle");
	const seen = own().map(({ type, content }) => (type === "status" ? content.execution_state : type));
	assert.deepEqual(seen, ["busy", "stream", "display_data", "comm_msg", "idle"]);
});

test("a cell opens a comm, sends, and hears; either side closes", async () => {
	const { iopub } = await kernel.execute(
		"const comm = comms.open('front', { hello: 1 }, { buffers: [Uint16Array.of(1, 258)], metadata: { m: true } });" +
			"let heard: any[] = []; comm.onMessage(({ data, buffers }) => { heard.push(data, ...buffers.map((b) => b.length)); });" +
			"comm.onClose(({ data }) => { heard.push('closed', data); }); comm.send([1n, NaN]);",
	);
	const [opened, sent] = iopub.filter(({ type }) => /^comm_/.test(type));
	assert.equal(opened!.type, "comm_open");
	assert.equal(opened!.content.target_name, "front");
	assert.deepEqual([opened!.content.data, opened!.metadata], [{ hello: 1 }, { m: true }]);
	assert.deepEqual([...opened!.buffers[0]!], [1, 0, 2, 1]);
	assert.deepEqual(sent!.content, { comm_id: opened!.content.comm_id, data: [1, null] });
	const id = opened!.content.comm_id;
	tell(id, { to: "cell" }, [Buffer.alloc(3)]);
	kernel.send("comm_close", { comm_id: id, data: { why: "done" } });
	assert.equal(
		result(await kernel.execute("await sleep(1); JSON.stringify([heard, comm.closed])")),
		`'[[{"to":"cell"},3,"closed",{"why":"done"}],true]'`,
	);
	assert.match((await kernel.execute("comm.send(1)")).reply.evalue, /ERR_OCTAVO_COMM\] Expected an open comm/);
	const closing = await kernel.execute("const second = comms.open('front'); second.close({ bye: 1 }); second.close();");
	const types = closing.iopub.filter(({ type }) => /^comm_/.test(type)).map(({ type }) => type);
	assert.deepEqual(types, ["comm_open", "comm_close"]);
	const ids = closing.iopub.filter(({ type }) => type === "comm_open").map(({ content }) => content.comm_id);
	const { comms } = await kernel.ask("comm_info_request", {});
	for (const closed of [id, ...ids]) assert.ok(!(closed in comms), "a comm that is closed is not listed");
});

test("comm_info lists what is open, also by target, also while a cell loops", async () => {
	const id = open("echo");
	await message(id);
	const ask = (content: unknown, channel: "shell" | "control") => kernel.ask("comm_info_request", content, channel);
	const { status, comms } = await ask({ target_name: "echo" }, "shell");
	assert.equal(status, "ok");
	assert.deepEqual(comms[id], { target_name: "echo" });
	assert.ok(Object.values(comms).every((comm) => (comm as { target_name: string }).target_name === "echo"));
	assert.deepEqual((await ask({ target_name: "none" }, "shell")).comms, {});
	const loop = kernel.send("execute_request", { code: "console.log('on'); while (true);" });
	await kernel.until(() => kernel.messages.some(({ parentId, type }) => parentId === loop && type === "stream"));
	assert.ok(id in (await ask({}, "control")).comms);
	await kernel.ask("interrupt_request", {}, "control");
	await kernel.exchange(loop);
	kernel.send("comm_close", { comm_id: id, data: {} });
	assert.ok(!(id in (await ask({}, "shell")).comms));
});

test("an unknown target is closed, and messages over unknown comms are dropped", async () => {
	const id = open("nobody");
	assert.equal((await message(id)).type, "comm_close");
	tell(id, {});
	tell(randomUUID(), {}, [Buffer.alloc(10)]);
	kernel.send("comm_msg", { data: 1 });
	kernel.send("comm_open", { comm_id: 5, target_name: {} });
	const echo = open("echo", {}, [Buffer.from("still")]);
	assert.equal((await message(echo)).buffers[0]!.toString(), "still");
});

test("an error in a handler is shown, and later messages are handled", async () => {
	await kernel.execute(
		"comms.onOpen('fails', () => { throw new RangeError('at the open'); });" +
			"comms.onOpen('picky', (comm) => { comm.onMessage(async ({ data }) => { await sleep(1); if (data === 'bad') throw new Error('no ' + data); comm.send(data); }); });",
	);
	assert.equal((await message(open("fails"))).type, "comm_close");
	await kernel.until(() =>
		kernel.messages.some(({ type, content }) => type === "stream" && /comm handler.*at the open/.test(content.text)),
	);
	const id = open("picky");
	tell(id, "bad");
	tell(id, "good");
	assert.equal((await message(id)).content.data, "good");
	await kernel.until(() =>
		kernel.messages.some(({ type, content }) => type === "stream" && /comm handler.*no bad/.test(content.text)),
	);
});

test("messages are handled while a cell awaits, in order", async () => {
	const id = open("echo");
	await message(id);
	const cell = kernel.send("execute_request", {
		code: "const waited: unknown[] = []; await new Promise<void>((done) => comms.onOpen('later', (comm) => comm.onMessage(({ data }) => { waited.push(data); if (data === 3) done(); }))); waited.join()",
	});
	// Sent before the cell has begun: its target is there all the same.
	const later = open("later");
	for (const n of [1, 2, 3]) tell(later, n);
	assert.equal(result(await kernel.exchange(cell)), "'1,2,3'");
});

test("messages wait while a cell loops, and come when it is stopped", async () => {
	const id = open("echo");
	await message(id);
	const loop = kernel.send("execute_request", { code: "console.log('on'); while (true);" });
	await kernel.until(() => kernel.messages.some(({ parentId, type }) => parentId === loop && type === "stream"));
	for (const n of [1, 2]) tell(id, n, [Buffer.alloc(1000, n)]);
	assert.equal((await kernel.ask("kernel_info_request", {}, "control")).status, "ok");
	assert.equal(said(id).length, 1);
	await kernel.ask("interrupt_request", {}, "control");
	await kernel.exchange(loop);
	assert.deepEqual([(await message(id, 2)).content.data, (await message(id, 3)).content.data], [1, 2]);
	assert.deepEqual(said(id)[2]!.buffers[0], Buffer.alloc(1000, 2));
});

test("a message behind a queued cell waits for that cell", async () => {
	await kernel.execute("comms.onOpen('reads', (comm) => comm.send((globalThis as any).marked ?? 'early'))");
	const mark = kernel.send("execute_request", { code: "await sleep(100); (globalThis as any).marked = 'marked';" });
	const after = kernel.send("execute_request", { code: "await sleep(50);" });
	const reads = open("reads");
	assert.equal((await message(reads)).content.data, "marked");
	await Promise.all([mark, after].map((cell) => kernel.exchange(cell)));
});

test("an endless handler is stopped by an interrupt, and the comm goes on", async () => {
	await kernel.execute(
		"comms.onOpen('spins', (comm) => comm.onMessage(({ data }) => { comm.send('in'); while (data === 'spin'); comm.send('out'); }))",
	);
	const id = open("spins");
	tell(id, "spin");
	await message(id);
	await kernel.ask("interrupt_request", {}, "control");
	tell(id, "go");
	assert.deepEqual([(await message(id, 2)).content.data, (await message(id, 3)).content.data], ["in", "out"]);
	assert.equal(result(await kernel.execute("'fine'")), "'fine'");
});

test("64 MiB go there and back unchanged; many messages in a row too", async () => {
	const id = open("echo");
	await message(id);
	const big = randomBytes(64 * 1024 * 1024);
	tell(id, "big", [big]);
	assert.ok((await message(id, 2)).buffers[0]!.equals(big));
	const small = Array.from({ length: 200 }, () => randomBytes(20_000));
	for (const buffer of small) tell(id, "small", [buffer]);
	await message(id, 202);
	assert.ok(
		said(id)
			.slice(2)
			.every(({ buffers }, i) => buffers[0]!.equals(small[i]!)),
	);
});

test("wrong arguments are refused with codes", async () => {
	const code = async (text: string) => (await kernel.execute(text)).reply.evalue;
	assert.match(await code("comms.open('')"), /ERR_OCTAVO_COMM\] Expected a name as target/);
	assert.match(await code("comms.onOpen('x', 5 as any)"), /ERR_OCTAVO_COMM\] Expected a function/);
	assert.match(await code("comms.open('x', {}, { buffers: ['text' as any] })"), /ERR_OCTAVO_OPTION\].*"text"/);
	assert.match(await code("const loop: any = {}; loop.loop = loop; comms.open('x', loop)"), /cycle/);
	assert.deepEqual((await kernel.ask("comm_info_request", { target_name: "x" })).comms, {});
});

test("when the worker dies its comms are closed, and new ones work", async () => {
	const id = open("echo");
	await message(id);
	await kernel.execute("process.kill(process.pid, 'SIGKILL'); await sleep(1000);");
	assert.equal((await message(id, 2)).type, "comm_close");
	assert.deepEqual((await kernel.ask("comm_info_request", {})).comms, {});
	assert.equal((await message(open("echo"))).type, "comm_close");
	await kernel.execute("comms.onOpen('echo', (comm, { buffers }) => comm.send('new', { buffers }))");
	assert.equal((await message(open("echo", {}, [Buffer.from("b")]))).buffers[0]!.toString(), "b");
});
