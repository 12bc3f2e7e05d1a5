// A Jupyter client on raw ZeroMQ frames, for tests of the kernel: it signs and parses by itself and shares no code with
// the kernel, so that an error there cannot hide here.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createHmac, randomBytes, randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Dealer, Request, Subscriber } from "zeromq";
import { MessageChecks } from "./message-checks.js";

/** A message as a test looks at it. */
export interface Received {
	channel: "shell" | "control" | "iopub" | "stdin";
	type: string;
	parentId: string;
	// biome-ignore lint/suspicious/noExplicitAny: contents differ by type, and tests look at any part of them.
	content: any;
	metadata: Record<string, unknown>;
	header: Record<string, string>;
	buffers: Buffer[];
}

/** Everything that came of one request. */
export interface Exchange {
	/** Content of the reply. */
	// biome-ignore lint/suspicious/noExplicitAny: contents differ by type.
	reply: any;
	/** iopub messages of the request, from busy to idle. */
	iopub: Received[];
	/** Text of stdout and stderr. */
	stdout: string;
	stderr: string;
}

/** How a test kernel is started. */
export interface KernelOptions {
	/** Working folder; default: a new one below the system's temporary folder. */
	folder?: string;
	/** Key of the signatures; default random. */
	key?: string;
	/** Command to start; `{connection_file}` is filled in. */
	argv?: string[];
	env?: NodeJS.ProcessEnv;
	/** Another's kernel, whose messages are not held against the published shapes. Default false. */
	isPeer?: boolean;
}

const mainPath = join(import.meta.dirname, "..", "..", "kernel", "main.js");
const defaultTimeoutMs = 30_000;

/** Gives ports that are free now. */
export async function freePorts(count: number): Promise<number[]> {
	const servers = await Promise.all(
		Array.from({ length: count }, async () => {
			const server = createServer();
			await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
			return server;
		}),
	);
	const ports = servers.map((server) => (server.address() as { port: number }).port);
	await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
	return ports;
}

/** A running kernel with a client's four sockets. */
export class KernelClient {
	readonly session = randomUUID();
	readonly folder: string;
	readonly process: ChildProcess;
	readonly messages: Received[] = [];
	/** Time from starting the process to its first kernel_info reply, in milliseconds. */
	startMs = Number.NaN;
	/** What the front process wrote to its stderr. */
	notes = "";
	/** ZeroMQ address of the stdin channel, for a second client. */
	stdinAddress = "";
	/** ZeroMQ addresses of two more channels, for a second client. */
	addresses = { shell: "", iopub: "" };
	/** Of shell, control and stdin alike: a kernel asks on stdin whoever sent the cell. */
	readonly identity = `test-${randomUUID()}`;
	readonly shell = new Dealer({
		routingId: this.identity,
		linger: 0,
		receiveHighWaterMark: 0,
		sendHighWaterMark: 0,
	});
	readonly control = new Dealer({ routingId: this.identity, linger: 0 });
	readonly stdin = new Dealer({ routingId: this.identity, linger: 0 });
	readonly #iopub = new Subscriber({ linger: 0, receiveHighWaterMark: 0 });
	readonly #heartbeat = new Request({ linger: 0 });
	/** Subshell that requests are sent to; undefined: the parent shell. */
	subshell: string | undefined;
	/** Subshell of {@link arrived}. */
	#aside: string | undefined;
	readonly #checks = new MessageChecks();
	readonly #key: string;
	#isPeer = false;
	readonly #temporary: string;
	readonly #watchers = new Set<() => void>();
	readonly #spawnedAt = performance.now();

	private constructor(process: ChildProcess, folder: string, temporary: string, key: string) {
		this.process = process;
		this.folder = folder;
		this.#temporary = temporary;
		this.#key = key;
		process.stderr!.on("data", (bytes) => {
			this.notes += bytes;
			this.#look();
		});
		process.once("exit", () => this.#look());
	}

	/**
	 * Starts a kernel and connects; settles once it has answered kernel_info and its iopub is heard. Another process may
	 * take a port between its choice and the kernel's start: then it starts again with others.
	 */
	static async start(options: KernelOptions = {}): Promise<KernelClient> {
		for (let attempt = 1; ; attempt++) {
			const client = await KernelClient.#spawn(options);
			try {
				await client.#greet();
				return client;
			} catch (error) {
				await client.stop();
				if (attempt === 3 || !client.notes.includes("ERR_OCTAVO_BIND")) throw error;
			}
		}
	}

	static async #spawn(options: KernelOptions): Promise<KernelClient> {
		const temporary = mkdtempSync(join(tmpdir(), "octavo-test-"));
		const folder = options.folder ?? temporary;
		const key = options.key ?? randomBytes(16).toString("hex");
		const [shell_port, control_port, iopub_port, stdin_port, hb_port] = await freePorts(5);
		const file = join(temporary, "connection.json");
		const ports = { shell_port, control_port, iopub_port, stdin_port, hb_port };
		const connection = { transport: "tcp", ip: "127.0.0.1", ...ports, key, signature_scheme: "hmac-sha256" };
		writeFileSync(file, JSON.stringify(connection));
		const argv = options.argv ?? [process.execPath, mainPath, "kernel", "--connection-file", "{connection_file}"];
		const [command, ...rest] = argv.map((part) => part.replace("{connection_file}", file));
		// A test that is killed takes its kernel along, and each has a history of its own.
		const own = { JPY_PARENT_PID: String(process.pid), OCTAVO_HISTORY: "0", JUPYTER_DATA_DIR: temporary };
		const env = { ...process.env, ...own, ...options.env };
		const child = spawn(command!, rest, { cwd: folder, env, stdio: ["ignore", "ignore", "pipe"] });
		const client = new KernelClient(child, folder, temporary, key);
		client.#isPeer = options.isPeer ?? false;
		client.shell.connect(`tcp://127.0.0.1:${shell_port}`);
		client.control.connect(`tcp://127.0.0.1:${control_port}`);
		client.stdin.connect(`tcp://127.0.0.1:${stdin_port}`);
		client.stdinAddress = `tcp://127.0.0.1:${stdin_port}`;
		client.addresses = { shell: `tcp://127.0.0.1:${shell_port}`, iopub: `tcp://127.0.0.1:${iopub_port}` };
		client.#iopub.connect(`tcp://127.0.0.1:${iopub_port}`);
		client.#iopub.subscribe();
		client.#heartbeat.connect(`tcp://127.0.0.1:${hb_port}`);
		void client.#listen("shell", client.shell);
		void client.#listen("control", client.control);
		void client.#listen("stdin", client.stdin);
		void client.#listen("iopub", client.#iopub);
		return client;
	}

	/** Asks until an answer is heard on iopub too: a subscription takes effect some time after the connection. */
	async #greet(): Promise<void> {
		const ended = () => this.process.exitCode !== null || this.process.signalCode !== null;
		const heard = (id: string, channel: (name: string) => boolean) =>
			this.messages.some((message) => channel(message.channel) && message.parentId === id);
		for (;;) {
			const id = this.send("kernel_info_request", {});
			const answered = () => heard(id, (channel) => channel !== "iopub");
			await this.until(() => answered() || ended());
			if (ended()) throw new Error(`The kernel ended while starting. Its notes: ${this.notes || "none"}`);
			if (Number.isNaN(this.startMs)) this.startMs = performance.now() - this.#spawnedAt;
			try {
				await this.until(() => heard(id, (channel) => channel === "iopub"), 200);
				this.#checks.listening = true;
				return;
			} catch {
				// Not yet heard.
			}
		}
	}

	/** Gives the frames of a signed message. */
	frames(
		type: string,
		content: unknown,
		key = this.#key,
		metadata: unknown = {},
		parent: unknown = {},
		channel = "shell",
		date = new Date().toISOString(),
	): { id: string; frames: Buffer[] } {
		const id = randomUUID();
		const own = { msg_id: id, msg_type: type, session: this.session, username: "test", date, version: "5.3" };
		const header = this.subshell === undefined ? own : { ...own, subshell_id: this.subshell };
		this.#checks.sent(header, channel);
		const parts = [header, parent, metadata, content].map((part) => Buffer.from(JSON.stringify(part)));
		const signature = this.#key === "" ? "" : this.sign(parts, key);
		return { id, frames: [Buffer.from("<IDS|MSG>"), Buffer.from(signature), ...parts] };
	}

	/** Gives the signature of a message's four parts. */
	sign(parts: readonly (Buffer | string)[], key = this.#key): string {
		const hmac = createHmac("sha256", key);
		for (const part of parts) hmac.update(part);
		return hmac.digest("hex");
	}

	/** Sends a request and gives its id. */
	send(
		type: string,
		content: unknown,
		channel: "shell" | "control" | "stdin" = "shell",
		metadata: unknown = {},
		buffers: Buffer[] = [],
		parent: unknown = {},
	): string {
		const { id, frames } = this.frames(type, content, undefined, metadata, parent, channel);
		// A kernel that is gone takes nothing; whoever waits for the reply is told by the time-out.
		this[channel].send([...frames, ...buffers]).catch(() => {});
		return id;
	}

	/** Waits for a reply and gives its content. */
	async reply(id: string, timeoutMs = defaultTimeoutMs): Promise<Received["content"]> {
		const find = () =>
			this.messages.find((message) => message.parentId === id && !/^(iopub|stdin)$/.test(message.channel));
		await this.until(() => find() !== undefined, timeoutMs);
		return find()!.content;
	}

	/** Waits for a reply and for idle. */
	async exchange(id: string, timeoutMs = defaultTimeoutMs): Promise<Exchange> {
		const reply = await this.reply(id, timeoutMs);
		const own = () => this.messages.filter((message) => message.channel === "iopub" && message.parentId === id);
		await this.until(
			() => own().some(({ type, content }) => type === "status" && content.execution_state === "idle"),
			timeoutMs,
		);
		const iopub = own();
		const text = (name: string) =>
			iopub
				.filter(({ type, content }) => type === "stream" && content.name === name)
				.map(({ content }) => content.text)
				.join("");
		return { reply, iopub, stdout: text("stdout"), stderr: text("stderr") };
	}

	/** Runs a cell. */
	execute(code: string, options: Record<string, unknown> = {}, timeoutMs = defaultTimeoutMs): Promise<Exchange> {
		return this.exchange(this.send("execute_request", { code, ...executeDefaults, ...options }), timeoutMs);
	}

	/** Asks something and gives the reply's content. */
	ask(type: string, content: unknown, channel: "shell" | "control" = "shell"): Promise<Received["content"]> {
		return this.reply(this.send(type, content, channel));
	}

	/** Waits for a question on stdin of a cell's and answers it. */
	async answerInput(id: string, value: string): Promise<void> {
		await this.until(() => this.messages.some(({ channel, parentId }) => channel === "stdin" && parentId === id));
		this.send("input_reply", { value }, "stdin");
	}

	/** Settles when all that was sent on shell has arrived: a subshell, which waits for no cell, has answered behind it. */
	async arrived(): Promise<void> {
		this.#aside ??= (await this.ask("create_subshell_request", {}, "control")).subshell_id as string;
		const { subshell } = this;
		this.subshell = this.#aside;
		const id = this.send("kernel_info_request", {});
		this.subshell = subshell;
		await this.reply(id);
	}

	/** Gives the time of one heartbeat in milliseconds. */
	async beat(): Promise<number> {
		const start = performance.now();
		const ping = randomBytes(8);
		await this.#heartbeat.send(ping);
		const [pong] = await this.#heartbeat.receive();
		if (!pong?.equals(ping)) throw new Error("The heartbeat came back changed");
		return performance.now() - start;
	}

	/** Waits until a condition holds; looks after each message, and now and then without one. */
	async until(condition: () => boolean, timeoutMs = defaultTimeoutMs): Promise<void> {
		if (condition()) return;
		await new Promise<void>((resolve, reject) => {
			const stop = () => {
				clearTimeout(timer);
				clearInterval(poll);
				this.#watchers.delete(look);
			};
			const look = () => {
				if (!condition()) return;
				stop();
				resolve();
			};
			// What a test waits for may be a file or a process, which no message tells of.
			const poll = setInterval(() => look(), 100);
			const timer = setTimeout(() => {
				stop();
				reject(new Error(`Nothing came within ${timeoutMs} ms. The kernel's notes: ${this.notes || "none"}`));
			}, timeoutMs);
			this.#watchers.add(look);
		});
	}

	/** Ends the kernel, whatever it does, and removes what the test wrote. Fails when a message broke the protocol. */
	async stop(): Promise<void> {
		if (this.process.exitCode === null && this.process.signalCode === null) {
			const exited = new Promise((resolve) => this.process.once("exit", resolve));
			this.send("shutdown_request", { restart: false }, "control");
			const timer = setTimeout(() => this.process.kill("SIGKILL"), 3000);
			await exited;
			clearTimeout(timer);
		}
		for (const socket of [this.shell, this.control, this.stdin, this.#iopub, this.#heartbeat]) socket.close();
		// Again where a worker that was left alone still writes there, until it ends.
		rmSync(this.#temporary, { recursive: true, force: true, maxRetries: 20 });
		if (!this.#isPeer) assert.deepEqual(this.#checks.violations, [], "messages against the protocol");
	}

	async #listen(channel: Received["channel"], socket: AsyncIterable<Buffer[]>): Promise<void> {
		for await (const frames of socket) {
			const at = frames.findIndex((frame) => frame.toString() === "<IDS|MSG>");
			const parts = frames.slice(at + 2, at + 6);
			if (this.#key !== "" && this.sign(parts) !== frames[at + 1]!.toString()) {
				// Of another test's kernel, which has taken a port before this one's kernel could: that one says so and ends.
				if (!this.#checks.listening) continue;
				throw new Error("Wrong signature");
			}
			const [header, parent, metadata, content] = parts.map((part) => JSON.parse(part.toString()));
			const topics = frames.slice(0, at).map(String);
			this.#checks.came({ channel, topics, header, parent, metadata, content, buffers: frames.slice(at + 6) });
			const [type, parentId, buffers] = [header.msg_type, parent.msg_id ?? "", frames.slice(at + 6)];
			this.messages.push({ channel, type, parentId, content, metadata, header, buffers });
			this.#look();
		}
	}

	#look(): void {
		for (const look of [...this.#watchers]) look();
	}
}

const executeDefaults = {
	silent: false,
	store_history: true,
	user_expressions: {},
	allow_stdin: false,
	stop_on_error: true,
};
