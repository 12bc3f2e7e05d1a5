// One operating-system process of a kernel: private connection file, free ports, spawn, signals to its whole group.
// It gets a process group of its own, so that Ctrl-C in the server's terminal is the server's to handle and a kernel's
// own children go when the kernel goes.

import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { OctavoError } from "../../sdk/errors.js";
import { lateTimer } from "../cell/late-timer.js";
import { type ConnectionInfo, channelPorts } from "../wire/connection.js";
import type { FoundKernelSpec } from "./kernel-specs.js";

/** What a kernel process is started with. */
export interface LaunchOptions {
	id: string;
	kernelSpec: FoundKernelSpec;
	/** Working folder of the kernel. */
	cwd: string;
	/** Private folder for the connection file. */
	runtimeFolder: string;
	/** Environment variables beside the server's own. */
	env: Record<string, string>;
	/** Takes what the kernel process itself prints, beside its messages. */
	log: (text: string) => void;
}

const keptTail = 4000;
/** Longest wait for the last text of a process that has ended, in milliseconds. */
const lastTextMs = 250;

/** A kernel's process, from spawn to exit. */
export class KernelProcess {
	readonly connection: ConnectionInfo;
	/** Settles with how the process ended: `exit code 1`, `signal SIGKILL`. */
	readonly exited: Promise<string>;
	readonly #child: ChildProcess;
	readonly #connectionFile: string;
	#ended = false;
	#tail = "";

	private constructor(options: LaunchOptions, connection: ConnectionInfo, connectionFile: string) {
		this.connection = connection;
		this.#connectionFile = connectionFile;
		const { spec, folder } = options.kernelSpec;
		const words = spec.argv.map((word) =>
			word.replaceAll("{connection_file}", connectionFile).replaceAll("{resource_dir}", folder),
		);
		const env = { ...process.env, ...spec.env, ...options.env, JPY_PARENT_PID: String(process.pid) };
		this.#child = spawn(words[0]!, words.slice(1), {
			cwd: options.cwd,
			env,
			detached: true,
			stdio: ["ignore", "pipe", "pipe"],
		});
		for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
			stream.setEncoding("utf8").on("data", (text: string) => {
				this.#tail = (this.#tail + text).slice(-keptTail);
				options.log(text);
			});
		}
		this.exited = new Promise((resolve) => {
			const end = (how: string) => {
				if (this.#ended) return;
				this.#ended = true;
				this.kill("SIGKILL");
				rmSync(connectionFile, { force: true });
				// What it said last may still be in the pipes, which a process outside the group may hold open.
				const cancel = lateTimer(lastTextMs, () => resolve(how));
				this.#child.once("close", () => {
					cancel();
					resolve(how);
				});
			};
			this.#child.on("error", (error) => end(error.message));
			this.#child.on("exit", (code, signal) => end(signal === null ? `exit code ${code}` : `signal ${signal}`));
		});
	}

	/**
	 * Writes the connection file and spawns the process.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_KERNEL_START when the program cannot be run
	 */
	static async launch(options: LaunchOptions): Promise<KernelProcess> {
		const ports = await freePorts(channelPorts.length);
		const connection: ConnectionInfo = {
			transport: "tcp",
			ip: "127.0.0.1",
			...(Object.fromEntries(channelPorts.map((name, i) => [name, ports[i]!])) as Record<
				(typeof channelPorts)[number],
				number
			>),
			key: randomBytes(32).toString("hex"),
			signature_scheme: "hmac-sha256",
			kernel_name: options.kernelSpec.name,
		};
		const file = join(options.runtimeFolder, `kernel-${options.id}.json`);
		writeFileSync(file, JSON.stringify(connection, null, 2), { mode: 0o600 });
		const started = new KernelProcess(options, connection, file);
		await new Promise<void>((resolve, reject) => {
			started.#child.once("spawn", resolve);
			started.#child.once("error", (error) =>
				reject(
					new OctavoError("ERR_OCTAVO_KERNEL_START", `Kernel ${options.kernelSpec.name}: ${error.message}`, {
						cause: error,
					}),
				),
			);
		});
		return started;
	}

	/** The last that the process printed, for error messages. */
	get tail(): string {
		return this.#tail.trim();
	}

	/** Sends a signal to the process and its children. */
	kill(signal: NodeJS.Signals): void {
		if (this.#child.pid === undefined) return;
		try {
			process.kill(-this.#child.pid, signal);
		} catch {
			// The whole group is gone already.
		}
	}

	/** Waits for the exit, up to `ms` milliseconds, and says whether it came. */
	async exitsWithin(ms: number): Promise<boolean> {
		let timer: NodeJS.Timeout | undefined;
		const late = new Promise<false>((resolve) => {
			timer = setTimeout(() => resolve(false), ms);
		});
		const exited = await Promise.race([this.exited.then(() => true), late]);
		clearTimeout(timer);
		return exited;
	}

	/** Kills the group and removes the connection file now, without waiting: for a process that is exiting itself. */
	destroySync(): void {
		if (!this.#ended) this.kill("SIGKILL");
		rmSync(this.#connectionFile, { force: true });
	}
}

/** Gives `count` ports that are free now; all are held until the last is found, so that they differ. */
async function freePorts(count: number): Promise<number[]> {
	const servers: Server[] = [];
	try {
		for (let i = 0; i < count; i++) {
			const server = createServer();
			await new Promise<void>((resolve, reject) => {
				server.once("error", reject);
				server.listen(0, "127.0.0.1", resolve);
			});
			servers.push(server);
		}
		return servers.map((server) => (server.address() as { port: number }).port);
	} finally {
		await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
	}
}
