// What the kernel's processes share can break: cells that write to its pipe or close it, lanes without room, a cache folder
// on a full disk. Each is said, and the next cell works.

import assert from "node:assert/strict";
import fs, { closeSync, existsSync, mkdtempSync, openSync, readdirSync, rmSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { LaneReader, LaneWriter, openLane } from "../kernel/cell/buffer-lane.js";
import { FrameReader } from "../kernel/cell/frame-reader.js";
import { SnapshotFile } from "../kernel/cell/snapshot-file.js";
import { KernelClient } from "./helpers/kernel-client.js";

let kernel: KernelClient;
before(async () => {
	kernel = await KernelClient.start();
});
after(() => kernel.stop());

const bytes = (...values: number[]) => `import { writeSync } from "node:fs"; writeSync(3, Buffer.from([${values}]));`;
const event = (value: unknown) => {
	const text = Buffer.from(JSON.stringify(value));
	const head = Buffer.from([0, 0, 0, 0, 3]);
	head.writeUInt32LE(text.length);
	return bytes(...head, ...text);
};
const comm = (at: unknown) => ({
	type: "comm",
	kind: "msg",
	commId: "x",
	data: {},
	metadata: {},
	range: { message: 1, at },
});
for (const [what, code] of Object.entries({
	"what looks like a frame": bytes(1, 0, 0, 0, 3, 65),
	"an event that is none": bytes(4, 0, 0, 0, 3, 110, 117, 108, 108),
	"bytes that announce four gigabytes": bytes(255, 255, 255, 255, 255, 255),
	"a message whose bytes lie behind their lane's end": event(comm([[2 ** 45, 10]])),
	"a message with more bytes than there can be": event(comm([[4096, 2 ** 52]])),
	"a message whose bytes lie nowhere": event(comm([["a", 5]])),
})) {
	test(`a cell that writes ${what} to the kernel's pipe ends its worker, not the kernel`, async () => {
		const { reply } = await kernel.execute(code);
		assert.equal(reply.ename, "KernelWorkerDied");
		assert.match(reply.evalue, /has written to descriptor 3, which is the kernel's own\. .* variables .* are gone/);
		assert.equal((await kernel.execute("1 + 1")).reply.status, "ok");
	});
}

for (const descriptor of [3, 4, 5, 8]) {
	test(`a cell that closes descriptor ${descriptor} of the kernel ends its worker, and is told why`, async () => {
		const close = "import { closeSync } from 'node:fs';\nlet kept = 1;\nconsole.log('here');\n";
		const { reply, stdout } = await kernel.execute(
			`${close}closeSync(${descriptor});\nconsole.log('more');\nawait new Promise(() => {});`,
		);
		assert.equal(reply.ename, "KernelWorkerDied");
		assert.ok(
			reply.evalue.startsWith(`The cell, or native code that it called, has closed descriptor ${descriptor}, `),
		);
		assert.match(stdout, /^here\n/);
		assert.match((await kernel.execute("kept")).reply.evalue, /Cannot find name 'kept'/);
	});
}

test("a cell that closes a descriptor of the kernel and is over: what comes next is told", async () => {
	const { reply } = await kernel.execute("import { closeSync } from 'node:fs'; closeSync(4);");
	if (reply.status === "ok") {
		const next = await kernel.execute("1 + 1");
		const said = next.reply.status === "ok" ? kernel.messages.map(({ content }) => content.text ?? "").join("") : "";
		assert.match(next.reply.evalue ?? said, /has closed descriptor 4/);
	}
	assert.equal((await kernel.execute("2 + 2")).reply.status, "ok");
});

test("a cell that closes the lanes loses the messages that need them, and is told so", async () => {
	const sent = await kernel.execute(
		"import { closeSync } from 'node:fs'; closeSync(7); comms.open('x', {}, { buffers: [new Uint8Array(4)] });",
	);
	assert.match(sent.reply.evalue, /^\[ERR_OCTAVO_COMM\] Expected room for a buffer of 4 bytes .* but received EBADF/);
	// Large outputs go the slow way.
	const { iopub } = await kernel.execute("closeSync(9); display.html('x'.repeat(1e6)); undefined");
	assert.equal(iopub.find(({ type }) => type === "display_data")?.content.data["text/html"].length, 1e6);
	await kernel.execute("comms.onOpen('t', (comm) => comm.send('open')); closeSync(6);");
	const own = (id: string) => kernel.messages.filter(({ parentId }) => parentId === id);
	const isIdle = (id: string) => own(id).some(({ content }) => content.execution_state === "idle");
	const lost = kernel.send("comm_open", { comm_id: "1", target_name: "t", data: {} }, "shell", {}, [
		Buffer.from("abc"),
	]);
	await kernel.until(() => isIdle(lost));
	assert.match(own(lost).find(({ type }) => type === "stream")?.content.text, /^A comm message was lost: .*EBADF/);
	assert.ok(own(lost).some(({ type }) => type === "comm_close"));
	const without = kernel.send("comm_open", { comm_id: "2", target_name: "t", data: {} });
	await kernel.until(() => isIdle(without));
	assert.ok(own(without).some(({ type }) => type === "comm_msg"));
	assert.equal((await kernel.execute("1 + 1")).reply.status, "ok");
});

test("a stream that ends process.stdout or process.stderr ends nothing: what comes after still arrives", async () => {
	const ends = [
		"import { Readable } from 'node:stream'; import { pipeline } from 'node:stream/promises';",
		"await pipeline(Readable.from(['a', 'b']), process.stdout); await pipeline(Readable.from(['c']), process.stderr);",
		"await new Promise<void>((done) => process.stdout.end('last', done));",
	].join("\n");
	const ended = await kernel.execute(ends);
	assert.deepEqual([ended.reply.status, ended.stdout, ended.stderr], ["ok", "ablast", "c"]);
	const native =
		"import { execSync } from 'node:child_process'; console.log('own'); execSync('echo native', { stdio: 'inherit' }); 1";
	assert.equal((await kernel.execute(native)).stdout, "own\nnative\n");
});

test("frames come out whole however they are cut", () => {
	const frame = (kind: number, text: string) => {
		const payload = Buffer.from(text);
		const head = Buffer.alloc(5);
		head.writeUInt32LE(payload.length);
		head[4] = kind;
		return Buffer.concat([head, payload]);
	};
	const all = Buffer.concat([frame(1, "out"), frame(2, ""), frame(3, '{"type":"ready"}'), frame(1, "ü".repeat(100))]);
	for (const size of [1, 2, 4, 5, 6, 7, 64, all.length]) {
		const got: unknown[] = [];
		const reader = new FrameReader({
			stream: (name, text) => got.push([name, text]),
			event: (event) => got.push(event),
			broken: () => got.push("broken"),
		});
		for (let at = 0; at < all.length; at += size) reader.push(all.subarray(at, at + size));
		assert.deepEqual(got, [["stdout", "out"], ["stderr", ""], { type: "ready" }, ["stdout", "ü".repeat(100)]]);
		reader.push(Buffer.from([1]));
		reader.push(Buffer.from([0, 0, 0, 9, 65]));
		reader.push(frame(1, "after"));
		assert.deepEqual(got.slice(4), ["broken"]);
	}
});

test("a lane without room says so, and takes what fits later", { skip: !existsSync("/dev/full") }, () => {
	const full = openSync("/dev/full", "w+");
	assert.throws(() => new LaneWriter(full, false).write([new Uint8Array(8)]), {
		code: "ERR_OCTAVO_COMM",
		message: /^Expected room for a buffer of 8 bytes beside a comm message but received ENOSPC/,
	});
	closeSync(full);
	const lane = openLane();
	const [writer, reader] = [new LaneWriter(lane, false), new LaneReader(lane)];
	const really = fs.writeSync;
	fs.writeSync = (() => {
		throw new Error("ENOSPC: no space left on device, write");
	}) as typeof fs.writeSync;
	syncBuiltinESMExports();
	try {
		assert.throws(() => writer.write([new Uint8Array(1000)]), { code: "ERR_OCTAVO_COMM" });
	} finally {
		fs.writeSync = really;
		syncBuiltinESMExports();
	}
	assert.deepEqual([...reader.read(writer.write([Uint8Array.of(1, 2)]))[0]!], [1, 2]);
	closeSync(lane);
});

test("a snapshot that cannot be written leaves nothing behind, and one that cannot be removed stays", async () => {
	const home = mkdtempSync(join(tmpdir(), "octavo-cache-"));
	const { XDG_CACHE_HOME: before } = process.env;
	process.env.XDG_CACHE_HOME = home;
	const [write, remove] = [fs.writeFileSync, fs.rmSync];
	try {
		const snapshot = new SnapshotFile([]);
		fs.writeFileSync = ((path: string, ...rest: [string]) => {
			if (path.endsWith(".json")) throw new Error("ENOSPC: no space left on device, write");
			write(path, ...rest);
		}) as typeof fs.writeFileSync;
		fs.rmSync = ((path: string, ...rest: [object]) => {
			if (path.endsWith(".blob")) throw new Error("EROFS: read-only file system, unlink");
			remove(path, ...rest);
		}) as typeof fs.rmSync;
		syncBuiltinESMExports();
		await snapshot.make({ libraries: [], ownTypes: "", target: 9 });
		assert.deepEqual(readdirSync(join(home, "octavo")), []);
		snapshot.refuse();
		assert.deepEqual(snapshot.startFlags, []);
	} finally {
		Object.assign(fs, { writeFileSync: write, rmSync: remove });
		syncBuiltinESMExports();
		if (before === undefined) delete process.env.XDG_CACHE_HOME;
		else process.env.XDG_CACHE_HOME = before;
		rmSync(home, { recursive: true, force: true });
	}
});
