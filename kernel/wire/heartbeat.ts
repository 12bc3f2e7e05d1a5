// Echoes heartbeats from a thread of its own, so that a client sees a live kernel even while the front process encodes
// a large message.

import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { Reply } from "zeromq";

interface HeartbeatData {
	octavoHeartbeat: string;
}

/** The heartbeat socket of a kernel. */
export class Heartbeat {
	#thread: Worker | undefined;
	#exited: Promise<unknown> | undefined;

	/** Binds the socket; rejects with the system's error when the address is taken. */
	async open(address: string): Promise<void> {
		const workerData: HeartbeatData = { octavoHeartbeat: address };
		const thread = new Worker(new URL(import.meta.url), { workerData });
		// From now on: another socket's address may be taken, and everything is closed before this one is bound.
		this.#thread = thread;
		this.#exited = new Promise((resolve) => thread.once("exit", resolve));
		await new Promise<void>((resolve, reject) => {
			thread.once("message", (failure: string | null) => (failure === null ? resolve() : reject(new Error(failure))));
			thread.once("error", reject);
		});
	}

	/** Stops echoing. */
	async close(): Promise<void> {
		// Not terminate(): ZeroMQ aborts the whole process when its thread vanishes during a receive.
		this.#thread?.postMessage(null);
		await this.#exited;
	}
}

async function echo(address: string): Promise<void> {
	const socket = new Reply({ linger: 0 });
	try {
		await socket.bind(address);
	} catch (error) {
		parentPort?.postMessage((error as Error).message);
		return;
	}
	parentPort?.postMessage(null);
	parentPort?.once("message", () => socket.close());
	for await (const frames of socket) await socket.send(frames);
}

if (!isMainThread && (workerData as HeartbeatData | undefined)?.octavoHeartbeat) {
	void echo((workerData as HeartbeatData).octavoHeartbeat);
}
