// The five sockets of a kernel: shell, control, stdin (routers), iopub (publisher) and the heartbeat.
// iopub has no high-water mark: ZeroMQ's default of 1000 silently drops the output of a cell that prints a lot. It is an
// XPUB, which says when somebody subscribes.

import { Router, XPublisher } from "zeromq";
import { type ConnectionInfo, endpoint } from "./connection.js";
import { FrameCodec, type Message, type OutgoingMessage } from "./frames.js";
import { Heartbeat } from "./heartbeat.js";
import { SendQueue } from "./send-queue.js";

/** Sockets on which requests arrive. */
export type RequestChannel = "shell" | "control";

/** Called once for each verified message of a channel. */
export type MessageListener = (channel: RequestChannel | "stdin", message: Message) => void;

/** Binds and serves the sockets of one connection; only this class and its helpers know ZeroMQ. */
export class KernelSockets {
	readonly #routers = {
		shell: new Router({ linger: 1000, sendHighWaterMark: 0 }),
		control: new Router({ linger: 1000, sendHighWaterMark: 0 }),
		stdin: new Router({ linger: 0 }),
	};
	readonly #iopub = new XPublisher({ linger: 1000, sendHighWaterMark: 0, sendTimeout: 0, verbosity: "allSubs" });
	readonly #heartbeat = new Heartbeat();
	readonly #codec: FrameCodec;
	readonly #queues: Record<RequestChannel | "stdin" | "iopub", SendQueue>;
	readonly #connection: ConnectionInfo;
	/** Messages for iopub that are not encoded yet. */
	readonly #broadcasts: OutgoingMessage[] = [];

	constructor(connection: ConnectionInfo) {
		this.#connection = connection;
		this.#codec = new FrameCodec(connection.key);
		this.#queues = {
			shell: new SendQueue(this.#routers.shell),
			control: new SendQueue(this.#routers.control),
			stdin: new SendQueue(this.#routers.stdin),
			iopub: new SendQueue(this.#iopub),
		};
	}

	/**
	 * Binds every socket and starts listening; a port in use rejects with the system's error.
	 *
	 * @param subscribed told of each subscription to iopub, by its topic
	 */
	async open(listener: MessageListener, subscribed: (topic: Buffer) => void): Promise<void> {
		void this.#watchSubscriptions(subscribed);
		const at = (port: number) => endpoint(this.#connection, port);
		await Promise.all([
			this.#routers.shell.bind(at(this.#connection.shell_port)),
			this.#routers.control.bind(at(this.#connection.control_port)),
			this.#routers.stdin.bind(at(this.#connection.stdin_port)),
			this.#iopub.bind(at(this.#connection.iopub_port)),
			this.#heartbeat.open(at(this.#connection.hb_port)),
		]);
		for (const channel of ["shell", "control", "stdin"] as const) void this.#listen(channel, listener);
	}

	/**
	 * Sends a message on a channel, after everything sent there before. What is broadcast is encoded once this turn has
	 * asked the worker and replied, for which somebody waits: the worker runs while this process encodes.
	 */
	send(channel: RequestChannel | "stdin" | "iopub", message: OutgoingMessage): void {
		if (channel !== "iopub") this.#queues[channel].send(this.#codec.encode(message));
		else if (this.#broadcasts.push(message) === 1) process.nextTick(() => this.#broadcast());
	}

	/** Settles when every queued message has been handed to ZeroMQ. */
	async flush(): Promise<void> {
		this.#broadcast();
		await Promise.all(Object.values(this.#queues).map((queue) => queue.flushed()));
	}

	/** Closes every socket; messages already handed over are still delivered (linger of one second). */
	async close(): Promise<void> {
		await this.flush();
		for (const socket of [...Object.values(this.#routers), this.#iopub]) socket.close();
		await this.#heartbeat.close();
	}

	#broadcast(): void {
		for (const message of this.#broadcasts.splice(0)) this.#queues.iopub.send(this.#codec.encode(message));
	}

	async #watchSubscriptions(subscribed: (topic: Buffer) => void): Promise<void> {
		for await (const [subscription] of this.#iopub) {
			// The first byte says whether it begins or ends. ZeroMQ let the subscriber hear its topic already: what was sent
			// until this is read comes before the welcome. (Its manual mode, which would wait, forgets the subscriber when
			// another one leaves at that moment.)
			if (subscription?.[0] === 1) subscribed(subscription.subarray(1));
		}
	}

	async #listen(channel: RequestChannel | "stdin", listener: MessageListener): Promise<void> {
		for await (const frames of this.#routers[channel]) this.#take(channel, frames.splice(0), listener);
	}

	/** In a call of its own, with the frames taken out: the loop would hold them, however large, until others come. */
	#take(channel: RequestChannel | "stdin", frames: Buffer[], listener: MessageListener): void {
		let message: Message;
		try {
			message = this.#codec.decode(frames);
		} catch (error) {
			process.stderr.write(`octavo: dropped a message on ${channel}: ${(error as Error).message}\n`);
			return;
		}
		listener(channel, message);
	}
}
