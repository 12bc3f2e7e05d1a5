// The client's side of a kernel's sockets, for a server that relays. Messages pass as raw parts: the signature is made
// and verified over their bytes, and the relay parses no more than it needs.

import { createHmac, timingSafeEqual } from "node:crypto";
import { Dealer, Subscriber } from "zeromq";
import { type ConnectionInfo, endpoint } from "./connection.js";
import { SendQueue } from "./send-queue.js";

/** Channels of a kernel as its clients see them. */
export type Channel = "shell" | "control" | "stdin" | "iopub";

/** A Jupyter message as bytes. */
export interface RawMessage {
	channel: Channel;
	/** Header, parent header, metadata and content, each as UTF-8 JSON. */
	parts: [Buffer, Buffer, Buffer, Buffer];
	buffers: Buffer[];
}

const delimiter = Buffer.from("<IDS|MSG>");
// A kernel that is starting is found this soon after it binds; ZeroMQ's own default is five times as long.
const reconnectMs = 20;

/** Connects to one kernel; it may bind its sockets later. */
export class KernelClientSockets {
	readonly #key: string;
	readonly #dealers: Record<"shell" | "control" | "stdin", Dealer>;
	readonly #queues: Record<"shell" | "control" | "stdin", SendQueue>;
	readonly #iopub = new Subscriber({ linger: 0, receiveHighWaterMark: 0, reconnectInterval: reconnectMs });

	/**
	 * @param identity routing identity of this client, the same on each channel: kernels send input requests to the
	 *   identity that a cell came from
	 */
	constructor(connection: ConnectionInfo, identity: string) {
		this.#key = connection.key;
		const dealer = (port: number) => {
			const socket = new Dealer({
				routingId: identity,
				linger: 0,
				sendHighWaterMark: 0,
				receiveHighWaterMark: 0,
				reconnectInterval: reconnectMs,
			});
			socket.connect(endpoint(connection, port));
			return socket;
		};
		const shell = dealer(connection.shell_port);
		const control = dealer(connection.control_port);
		const stdin = dealer(connection.stdin_port);
		this.#dealers = { shell, control, stdin };
		this.#queues = { shell: new SendQueue(shell), control: new SendQueue(control), stdin: new SendQueue(stdin) };
		this.#iopub.connect(endpoint(connection, connection.iopub_port));
		this.#iopub.subscribe();
	}

	/** Starts passing on what the kernel sends; messages with a wrong signature are dropped with a note. */
	listen(listener: (message: RawMessage) => void): void {
		for (const channel of ["shell", "control", "stdin"] as const) {
			void this.#read(channel, this.#dealers[channel], listener);
		}
		void this.#read("iopub", this.#iopub, listener);
	}

	/** Signs and sends a message; iopub has no way in. */
	send(message: RawMessage): void {
		if (message.channel === "iopub") return;
		const signature = Buffer.from(this.#sign(message.parts));
		this.#queues[message.channel].send([delimiter, signature, ...message.parts, ...message.buffers]);
	}

	/** Closes every socket at once. */
	close(): void {
		for (const socket of [...Object.values(this.#dealers), this.#iopub]) socket.close();
	}

	async #read(
		channel: Channel,
		socket: AsyncIterable<Buffer[]>,
		listener: (message: RawMessage) => void,
	): Promise<void> {
		for await (const frames of socket) {
			const at = frames.findIndex((frame) => frame.equals(delimiter));
			const signature = frames[at + 1];
			const parts = frames.slice(at + 2, at + 6);
			if (at < 0 || !signature || parts.length < 4 || !this.#verify(signature, parts)) {
				process.stderr.write(`octavo: dropped a malformed or forged message from a kernel on ${channel}\n`);
				continue;
			}
			listener({ channel, parts: parts as RawMessage["parts"], buffers: frames.slice(at + 6) });
		}
	}

	#sign(parts: Buffer[]): string {
		if (this.#key === "") return "";
		const hmac = createHmac("sha256", this.#key);
		for (const part of parts) hmac.update(part);
		return hmac.digest("hex");
	}

	#verify(signature: Buffer, parts: Buffer[]): boolean {
		const expected = Buffer.from(this.#sign(parts));
		return signature.length === expected.length && timingSafeEqual(signature, expected);
	}
}
