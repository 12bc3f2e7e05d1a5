// A kernel as the server keeps it: started, watched, restarted when it dies, and shared by its WebSockets. The server is
// the kernel's one ZeroMQ client, so a page that connects late misses nothing and a restart needs no new connection;
// replies find their page by the session in their parent header.

import { OctavoError } from "../../sdk/errors.js";
import { KernelClientSockets, type RawMessage } from "../wire/client-sockets.js";
import { greet, lacksPort } from "./greeting.js";
import { KernelProcess, type LaunchOptions } from "./kernel-process.js";
import { OwnRequests } from "./own-requests.js";
import { makeMessage, parsePart } from "./raw-messages.js";

/** What a kernel is doing, in Jupyter's words. */
export type ExecutionState = "starting" | "idle" | "busy" | "restarting" | "dead";

/** Someone who reads a kernel's messages. */
export interface KernelListener {
	/** Sessions whose replies belong to this listener. */
	readonly sessions: ReadonlySet<string>;
	deliver(message: RawMessage): void;
}

/** A kernel in the REST interface. */
export interface KernelModel {
	id: string;
	name: string;
	last_activity: string;
	execution_state: ExecutionState;
	connections: number;
}

const exitTimeoutMs = 5000;
// A kernel that died this often within the window is left dead: it would only die again.
const deathLimit = 5;
const deathWindowMs = 60_000;

/** One kernel, over as many processes as it takes. */
export class ManagedKernel {
	readonly id: string;
	readonly name: string;
	readonly #options: LaunchOptions;
	readonly #listeners = new Set<KernelListener>();
	readonly #own = new OwnRequests();
	#process: KernelProcess | undefined;
	#sockets: KernelClientSockets | undefined;
	#state: ExecutionState = "starting";
	#lastActivity = new Date();
	#ready: Promise<void> = Promise.resolve();
	#heardIopub: (() => void) | undefined;
	#deaths: number[] = [];
	#numStarts = 0;
	/** What clients have sent while no process answers, in order; undefined while one does. */
	#held: RawMessage[] | undefined = [];
	#closing = false;
	/** Under way: whoever asks for the same meanwhile waits for it, so that there are never two processes. */
	#starting: Promise<void> | undefined;
	#restarting: Promise<void> | undefined;

	constructor(options: LaunchOptions) {
		this.id = options.id;
		this.name = options.kernelSpec.name;
		this.#options = options;
	}

	/**
	 * Starts the process; gives control back as soon as it runs. `ready` tells when it answers.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_KERNEL_START, also when the kernel is shut down meanwhile
	 */
	start(): Promise<void> {
		this.#starting ??= this.#start().finally(() => {
			this.#starting = undefined;
		});
		return this.#starting;
	}

	async #start(): Promise<void> {
		this.#numStarts++;
		const launched = await KernelProcess.launch(this.#options);
		if (this.#closing) {
			launched.kill("SIGKILL");
			await launched.exited;
			throw new OctavoError("ERR_OCTAVO_KERNEL_START", `Kernel ${this.name} was shut down while it started`);
		}
		const sockets = new KernelClientSockets(launched.connection, this.#own.session);
		this.#process = launched;
		this.#sockets = sockets;
		sockets.listen((message) => this.#receive(message));
		this.#ready = this.#answer(launched);
		// The failure is for those who await `ready`; nobody may be.
		this.#ready.catch(() => undefined);
		void launched.exited.then((how) => this.#died(launched, how));
	}

	/** Settles when the kernel answers; rejects with ERR_OCTAVO_KERNEL_START when it dies before or takes a minute. */
	get ready(): Promise<void> {
		return this.#ready;
	}

	/** The kernel in the REST interface. */
	get model(): KernelModel {
		return {
			id: this.id,
			name: this.name,
			last_activity: this.#lastActivity.toISOString(),
			execution_state: this.#state,
			connections: this.#listeners.size,
		};
	}

	/** Adds a listener; the function given back removes it. */
	attach(listener: KernelListener): () => void {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}

	/** Sends a client's message to the kernel, once it answers; one for a dead kernel is dropped, as the client was told. */
	send(message: RawMessage): void {
		this.#lastActivity = new Date();
		if (this.#state === "dead") return;
		if (this.#held) this.#held.push(message);
		else this.#sockets?.send(message);
	}

	/** Interrupts the running cell, by message or signal as the kernelspec says. */
	async interrupt(): Promise<void> {
		if (this.#options.kernelSpec.spec.interrupt_mode === "signal") this.#process?.kill("SIGINT");
		else await this.#own.send(this.#sockets, "control", "interrupt_request", {});
	}

	/** Ends the process and starts another; listeners stay. */
	restart(): Promise<void> {
		this.#restarting ??= this.#restart().finally(() => {
			this.#restarting = undefined;
		});
		return this.#restarting;
	}

	async #restart(): Promise<void> {
		this.#state = "restarting";
		this.#held ??= [];
		this.#deaths = [];
		this.#numStarts = 0;
		await this.#end(true);
		await this.start();
		await this.#ready;
	}

	/** Ends the kernel: asks, then SIGTERM, then SIGKILL. */
	async shutdown(): Promise<void> {
		this.#closing = true;
		await this.#end(false);
		await this.#starting?.catch(() => undefined);
		await this.#ready.catch(() => undefined);
		this.#become("dead");
	}

	/** Kills the kernel without waiting, for a server whose own process is exiting. */
	destroySync(): void {
		this.#closing = true;
		this.#process?.destroySync();
	}

	async #end(restart: boolean): Promise<void> {
		const ending = this.#process;
		this.#process = undefined;
		if (ending) {
			await this.#own.send(this.#sockets, "control", "shutdown_request", { restart });
			if (!(await ending.exitsWithin(exitTimeoutMs))) ending.kill("SIGTERM");
			if (!(await ending.exitsWithin(1000))) ending.kill("SIGKILL");
			await ending.exited;
		}
		this.#sockets?.close();
		this.#sockets = undefined;
	}

	/** Waits until a process answers, or starts another, with other ports, where some program has taken one of its. */
	async #answer(launched: KernelProcess): Promise<void> {
		const heard = new Promise<void>((resolve) => {
			this.#heardIopub = resolve;
		});
		try {
			const ask = (ms: number) => this.#own.send(this.#sockets, "shell", "kernel_info_request", {}, ms);
			await greet(this.name, launched, ask, heard);
		} catch (error) {
			if (this.#closing || !lacksPort(launched, this.#numStarts)) throw error;
			await this.start();
			await this.#ready;
		} finally {
			for (const message of this.#held ?? []) this.#sockets?.send(message);
			this.#held = undefined;
		}
		if (this.#state === "starting" || this.#state === "restarting") this.#state = "idle";
		this.#numStarts = 0;
	}

	#receive(message: RawMessage): void {
		const parent = parsePart(message.parts[1]);
		const isOwn = parent.session === this.#own.session;
		if (message.channel === "iopub") {
			this.#heardIopub?.();
			if (parsePart(message.parts[0]).msg_type === "status") {
				const state = parsePart(message.parts[3]).execution_state;
				if (state === "idle" || state === "busy") this.#state = state;
			}
			this.#lastActivity = new Date();
			if (!isOwn) for (const listener of this.#listeners) listener.deliver(message);
			return;
		}
		if (isOwn) {
			this.#own.take(parent, message);
			return;
		}
		for (const listener of this.#listeners) {
			if (listener.sessions.has(String(parent.session))) listener.deliver(message);
		}
	}

	#died(which: KernelProcess, how: string): void {
		this.#own.giveUp();
		if (this.#process !== which || this.#closing) return;
		const wasReady = this.#state === "idle" || this.#state === "busy";
		this.#sockets?.close();
		this.#sockets = undefined;
		this.#process = undefined;
		this.#held ??= [];
		if (!wasReady && lacksPort(which, this.#numStarts)) return;
		const now = performance.now();
		this.#deaths = [...this.#deaths.filter((time) => now - time < deathWindowMs), now];
		this.#options.log(`kernel ${this.name} (${this.id}) died: ${how}\n`);
		if (!wasReady || this.#deaths.length >= deathLimit) {
			this.#become("dead");
			return;
		}
		this.#become("restarting");
		this.start()
			.then(() => this.#ready)
			.catch(() => this.#become("dead"));
	}

	/** Tells the listeners of a state that the kernel itself cannot tell of. */
	#become(state: ExecutionState): void {
		this.#state = state;
		if (state === "dead") this.#held = [];
		const message = makeMessage("iopub", "status", { execution_state: state }, this.#own.session);
		for (const listener of this.#listeners) listener.deliver(message);
	}
}
