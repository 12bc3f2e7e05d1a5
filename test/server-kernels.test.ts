// The embedded server's kernels: life cycle over REST, messages over both WebSocket protocols, death, clean-up.
// @jupyterlab/services' own serializer is the oracle of the protocols.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type KernelMessage, ServerConnection } from "@jupyterlab/services";
import { WebSocket } from "ws";
import { decodeFromSocket, encodeForSocket, v1Protocol } from "../kernel/server/channel-codec.js";
import { findKernelSpec } from "../kernel/server/kernel-specs.js";
import { KernelStore } from "../kernel/server/kernel-store.js";
import { type KernelModel, ManagedKernel } from "../kernel/server/managed-kernel.js";
import { startTestServer, type TestServer } from "./helpers/server.js";

const { serializer } = ServerConnection.makeSettings();
let it: TestServer;
const { TMPDIR } = process.env;
let temporary: string;

// A temporary folder of its own: other test files start servers at the same time.
before(async () => {
	temporary = mkdtempSync(join(tmpdir(), "octavo-server-kernels-"));
	process.env.TMPDIR = temporary;
	it = await startTestServer();
});

after(async () => {
	await it.close();
	const left = readdirSync(temporary);
	rmSync(temporary, { recursive: true });
	if (TMPDIR === undefined) delete process.env.TMPDIR;
	else process.env.TMPDIR = TMPDIR;
	assert.deepEqual(left, [], "the server or a kernel left something behind");
});

function kernelFolders(): string[] {
	return readdirSync(tmpdir()).filter((name) => name.startsWith("octavo-kernels-"));
}

/** A client that speaks one protocol and keeps what it receives. */
class Client {
	readonly received: KernelMessage.IMessage[] = [];
	readonly session = randomUUID();
	readonly #socket: WebSocket;
	#wake: () => void = () => undefined;

	constructor(kernelId: string, protocols: string[]) {
		const base = it.server.url.replace("http", "ws");
		this.#socket = new WebSocket(`${base}api/kernels/${kernelId}/channels?token=${it.server.token}`, protocols);
		this.#socket.on("message", (data: Buffer, isBinary: boolean) => {
			const received = isBinary ? Uint8Array.from(data).buffer : data.toString("utf8");
			this.received.push(serializer.deserialize(received as ArrayBuffer, this.#socket.protocol));
			this.#wake();
		});
	}

	async open(): Promise<string> {
		await new Promise((resolve, reject) => {
			this.#socket.on("open", resolve);
			this.#socket.on("error", reject);
		});
		return this.#socket.protocol;
	}

	send(type: string, content: object, channel = "shell", buffers: ArrayBuffer[] = []): string {
		const id = randomUUID();
		const header = { msg_id: id, msg_type: type, session: this.session, username: "", date: "", version: "5.3" };
		const message = { channel, header, parent_header: {}, metadata: {}, content, buffers };
		this.#socket.send(serializer.serialize(message as never, this.#socket.protocol));
		return id;
	}

	sendRaw(data: string | Buffer): void {
		this.#socket.send(data);
	}

	/** Waits for a message. */
	async next(matches: (message: KernelMessage.IMessage) => boolean): Promise<KernelMessage.IMessage> {
		for (;;) {
			const found = this.received.find(matches);
			if (found) return found;
			await new Promise<void>((resolve, reject) => {
				const timer = setTimeout(() => {
					reject(new Error(`Received only ${this.received.map((message) => message.header.msg_type).join(" ")}`));
				}, 20_000);
				this.#wake = () => {
					clearTimeout(timer);
					resolve();
				};
			});
		}
	}

	/** Runs a cell and gives its reply, when idle has come too. */
	async execute(code: string): Promise<KernelMessage.IMessage> {
		const id = this.send("execute_request", { code, silent: false, store_history: true, allow_stdin: false });
		const reply = await this.next((message) => message.header.msg_type === "execute_reply" && parentOf(message) === id);
		await this.next((message) => isStatus(message, "idle") && parentOf(message) === id);
		return reply;
	}

	/** Text of a stream that belongs to no particular cell. */
	get stdout(): string {
		const streams = this.received.filter((message) => message.header.msg_type === "stream");
		return streams.map((message) => (message.content as { text: string }).text).join("");
	}

	close(): void {
		this.#socket.terminate();
	}
}

function parentOf(message: KernelMessage.IMessage): string | undefined {
	return (message.parent_header as { msg_id?: string }).msg_id;
}

function isStatus(message: KernelMessage.IMessage, state: string): boolean {
	return (message.content as { execution_state?: string }).execution_state === state;
}

test("a kernel lives over REST: started, listed, interrupted, restarted, ended", async () => {
	const specs = (await it.call("GET", "/api/kernelspecs")).json;
	assert.equal(specs.default, "octavo");
	assert.equal(specs.kernelspecs.octavo.spec.language, "typescript");
	const logo = await it.call("GET", specs.kernelspecs.octavo.resources["logo-svg"]);
	assert.deepEqual([logo.status, logo.headers["content-type"]], [200, "image/svg+xml"]);
	assert.equal((await it.call("GET", "/kernelspecs/octavo/kernel.json")).status, 404);

	const started = await it.call("POST", "/api/kernels", { name: "octavo" });
	assert.equal(started.status, 201);
	const { id } = started.json;
	assert.deepEqual(
		(await it.call("GET", "/api/kernels")).json.map((kernel: { id: string }) => kernel.id),
		[id],
	);
	const client = new Client(id, [v1Protocol]);
	await client.open();
	await client.execute("let kept = 41;");
	const looping = client.send("execute_request", { code: 'console.log("looping"); for (;;) {}' });
	await client.next((message) => message.header.msg_type === "stream" && parentOf(message) === looping);
	assert.equal((await it.call("POST", `/api/kernels/${id}/interrupt`)).status, 204);
	await client.next((message) => message.header.msg_type === "execute_reply" && parentOf(message) === looping);
	// Cells that are sent while the failed one ends are aborted, as the protocol has it.
	const status = async () => ((await client.execute("console.log(kept + 1)")).content as { status: string }).status;
	while ((await status()) === "aborted") await new Promise((resolve) => setTimeout(resolve, 20));
	assert.match(client.stdout, /42/);

	assert.equal((await it.call("POST", `/api/kernels/${id}/restart`)).status, 200);
	await client.execute("console.log(typeof globalThis.kept, 'after the restart')");
	assert.match(client.stdout, /undefined after the restart/);
	assert.equal((await it.call("DELETE", `/api/kernels/${id}`)).status, 204);
	await client.next((message) => isStatus(message, "dead"));
	assert.deepEqual((await it.call("GET", "/api/kernels")).json, []);
	client.close();
});

test("both WebSocket protocols carry the same conversation, and replies go to the client that asked", async () => {
	const { id } = (await it.call("POST", "/api/kernels", {})).json;
	const binary = new Client(id, ["other", v1Protocol]);
	const json = new Client(id, []);
	assert.equal(await binary.open(), v1Protocol);
	assert.equal(await json.open(), "");
	for (const [i, client] of [binary, json].entries()) {
		const reply = await client.execute(`console.log("wörds 🐙 ${i}")`);
		assert.equal((reply.content as { status: string }).status, "ok");
	}
	// Outputs are everyone's.
	for (const client of [binary, json]) {
		await client.next(() => /wörds 🐙 0[\s\S]*wörds 🐙 1/.test(client.stdout));
		assert.equal(client.received.filter((message) => message.header.msg_type === "execute_reply").length, 1);
	}
	// Nothing malformed ends the connection.
	json.sendRaw("{");
	json.sendRaw(`{"channel":"nowhere","header":{}}`);
	json.sendRaw(Buffer.from([255, 255, 255, 255]));
	binary.sendRaw(Buffer.alloc(64, 255));
	binary.sendRaw("text");
	assert.equal(((await json.execute("1")).content as { status: string }).status, "ok");
	assert.equal(((await binary.execute("1")).content as { status: string }).status, "ok");
	binary.close();
	json.close();
	await it.call("DELETE", `/api/kernels/${id}`);
});

test("what the codec writes, @jupyterlab/services reads, and the other way round", () => {
	const header = { msg_id: "id", msg_type: "comm_msg", session: "s", username: "ü", date: "d", version: "5.3" };
	const content = { text: "größe 🐙", list: [1, null] };
	for (const protocol of [v1Protocol, ""]) {
		for (const buffers of [[], [Uint8Array.of(1, 2, 3).buffer, new ArrayBuffer(0), Uint8Array.of(255).buffer]]) {
			const message = { channel: "shell", header, parent_header: {}, metadata: { m: 1 }, content, buffers };
			const sent = serializer.serialize(structuredClone(message) as never, protocol);
			const isText = typeof sent === "string";
			const raw = decodeFromSocket(isText ? Buffer.from(sent) : Buffer.from(sent), !isText, protocol);
			assert.equal(raw.channel, "shell");
			assert.deepEqual(
				raw.parts.map((part) => JSON.parse(part.toString())),
				[header, {}, { m: 1 }, content],
			);
			assert.deepEqual(
				raw.buffers.map((part) => [...part]),
				buffers.map((part) => [...new Uint8Array(part)]),
			);
			const back = encodeForSocket(raw, protocol);
			const data = typeof back === "string" ? back : Uint8Array.from(back).buffer;
			const received = serializer.deserialize(data as ArrayBuffer, protocol);
			assert.deepEqual([received.channel, received.header, received.content], ["shell", header, content]);
			const views = (received.buffers ?? []) as DataView[];
			assert.deepEqual(
				views.map((view) => view.byteLength),
				buffers.map((part) => part.byteLength),
			);
		}
	}
});

test("truncated and hostile frames are refused with a code", () => {
	const header = { msg_id: "id", msg_type: "t", session: "s", username: "", date: "", version: "5.3" };
	const message = { channel: "shell", header, parent_header: {}, metadata: {}, content: {}, buffers: [] };
	const whole = Buffer.from(serializer.serialize(message as never, v1Protocol) as ArrayBuffer);
	const refused = (data: Buffer, isBinary = true) =>
		assert.throws(() => decodeFromSocket(data, isBinary, v1Protocol), { code: "ERR_OCTAVO_MESSAGE_FRAMES" });
	for (let length = 0; length < whole.length; length++) refused(whole.subarray(0, length));
	for (const count of [0n, 5n, 1n << 40n, (1n << 64n) - 1n]) {
		const wrong = Buffer.from(whole);
		wrong.writeBigUInt64LE(count, 0);
		refused(wrong);
	}
	const withoutContent = Buffer.concat([Buffer.alloc(8 * 6), Buffer.from("shell{}{}{}")]);
	for (const [i, value] of [5, 48, 53, 55, 57, 59].entries()) withoutContent.writeBigUInt64LE(BigInt(value), 8 * i);
	refused(withoutContent);
	const backwards = Buffer.from(whole);
	backwards.writeBigUInt64LE(9n, 24);
	refused(backwards);
	refused(Buffer.from(whole), false);
});

/** A kernel whose process has just died, with a client that was told so. */
async function startAndKill(): Promise<{ id: string; client: Client }> {
	const { id } = (await it.call("POST", "/api/kernels", {})).json;
	const client = new Client(id, [v1Protocol]);
	await client.open();
	await client.execute("1");
	// Cells run in a child of the kernel's process.
	client.send("execute_request", { code: `process.kill(process.ppid, "SIGKILL")` });
	await client.next((message) => isStatus(message, "restarting"));
	return { id, client };
}

test("a kernel that dies is restarted, and its clients are told", async () => {
	const { id, client } = await startAndKill();
	const reply = await client.execute("1 + 1");
	assert.equal((reply.content as { status: string }).status, "ok");
	assert.equal((await it.call("GET", `/api/kernels/${id}`)).json.id, id);
	client.close();
	await it.call("DELETE", `/api/kernels/${id}`);
});

test("a kernel that cannot start is reported, not restarted for ever", async () => {
	const kernels = join(it.root, "jupyter", "kernels");
	const addSpec = (name: string, argv: string[]) => {
		mkdirSync(join(kernels, name), { recursive: true });
		writeFileSync(join(kernels, name, "kernel.json"), JSON.stringify({ argv, display_name: name, language: "x" }));
	};
	addSpec("dies", [process.execPath, "-e", "process.exit(3)"]);
	addSpec("absent", ["/no/such/program"]);
	const before = process.env.JUPYTER_PATH;
	process.env.JUPYTER_PATH = join(it.root, "jupyter");
	try {
		const absent = await it.call("POST", "/api/kernels", { name: "absent" });
		assert.deepEqual([absent.status, absent.json.code], [500, "ERR_OCTAVO_KERNEL_START"]);
		const { id } = (await it.call("POST", "/api/kernels", { name: "dies" })).json;
		// Three starts at most, which is soon, where one that goes on for ever would pass any time.
		const deadline = performance.now() + 60_000;
		for (;;) {
			const { execution_state } = (await it.call("GET", `/api/kernels/${id}`)).json;
			if (execution_state === "dead") break;
			assert.ok(performance.now() < deadline, `still ${execution_state}`);
			await new Promise((resolve) => setTimeout(resolve, 20));
		}
		assert.equal((await it.call("DELETE", `/api/kernels/${id}`)).status, 204);
	} finally {
		if (before === undefined) delete process.env.JUPYTER_PATH;
		else process.env.JUPYTER_PATH = before;
	}
});

/** Command lines of the processes that serve a kernel. */
function processesOf(id: string): string[] {
	const lines = execFileSync("ps", ["-eo", "args"]).toString().split("\n");
	return lines.filter((line) => line.includes(`kernel-${id}.json`));
}

test("restarts at once, and a death just before, leave one process", async () => {
	const { id, client } = await startAndKill();
	const restart = () => it.call("POST", `/api/kernels/${id}/restart`);
	const answers = await Promise.all([restart(), restart(), restart()]);
	assert.deepEqual(
		answers.map(({ status }) => status),
		[200, 200, 200],
	);
	assert.equal(processesOf(id).length, 1);
	assert.equal(((await client.execute("2")).content as { status: string }).status, "ok");
	client.close();
	await it.call("DELETE", `/api/kernels/${id}`);
	assert.deepEqual(processesOf(id), []);
});

test("a kernel that is shut down while it starts leaves no process, nor does a server that is closed meanwhile", async () => {
	const options = {
		id: randomUUID(),
		kernelSpec: findKernelSpec("octavo"),
		cwd: it.root,
		runtimeFolder: it.root,
		env: {},
		log: () => undefined,
	};
	const kernel = new ManagedKernel(options);
	const refused = assert.rejects(kernel.start(), { code: "ERR_OCTAVO_KERNEL_START", message: /shut down while/ });
	await kernel.shutdown();
	await refused;
	assert.deepEqual(processesOf(options.id), []);

	const store = new KernelStore({ env: {}, log: () => undefined });
	const started = assert.rejects(store.start("octavo", it.root), { code: "ERR_OCTAVO_KERNEL_START" });
	const [{ id }] = store.models as [KernelModel];
	await store.close();
	await started;
	assert.deepEqual(processesOf(id), []);
});

test("a path that is opened twice at once has one session and one kernel", async () => {
	const open = () => it.call("POST", "/api/sessions", { path: "twice.ipynb", name: "twice", type: "notebook" });
	const [first, second] = await Promise.all([open(), open()]);
	assert.equal(first!.json.id, second!.json.id);
	assert.equal((await it.call("GET", "/api/kernels")).json.length, 1);
	await it.call("DELETE", `/api/sessions/${first!.json.id}`);
	assert.deepEqual((await it.call("GET", "/api/kernels")).json, []);
});

test("sessions tie a path to one kernel, which starts in the notebook's folder", async () => {
	mkdirSync(join(it.root, "deep"));
	const request = { path: "deep/a.ipynb", name: "a", type: "notebook", kernel: { name: "octavo" } };
	const session = (await it.call("POST", "/api/sessions", request)).json;
	assert.equal(session.notebook.path, "deep/a.ipynb");
	assert.equal(
		(await it.call("POST", "/api/sessions", request)).json.id,
		session.id,
		"the same path, the same session",
	);
	const client = new Client(session.kernel.id, [v1Protocol]);
	await client.open();
	await client.execute("console.log(process.cwd())");
	await client.next(() => client.stdout.includes(join(it.root, "deep")));
	client.close();
	const moved = await it.call("PATCH", `/api/sessions/${session.id}`, { path: "deep/b.ipynb" });
	assert.deepEqual([moved.json.path, moved.json.kernel.id], ["deep/b.ipynb", session.kernel.id]);
	assert.equal((await it.call("DELETE", `/api/sessions/${session.id}`)).status, 204);
	assert.deepEqual((await it.call("GET", "/api/sessions")).json, []);
	assert.deepEqual((await it.call("GET", "/api/kernels")).json, []);
});

test("connection files are private, and closing the server ends every process", async () => {
	const other = await startTestServer();
	const { id } = (await other.call("POST", "/api/kernels", {})).json;
	const folder = kernelFolders().find((name) => readdirSync(join(tmpdir(), name)).includes(`kernel-${id}.json`));
	assert.ok(folder);
	const modes = execFileSync("stat", ["-c", "%a", join(tmpdir(), folder), join(tmpdir(), folder, `kernel-${id}.json`)]);
	assert.deepEqual(modes.toString().trim().split("\n"), ["700", "600"]);
	await other.close();
	const running = execFileSync("ps", ["-eo", "args"]).toString();
	assert.ok(!running.includes(`kernel-${id}.json`), "a kernel process is still there");
});
