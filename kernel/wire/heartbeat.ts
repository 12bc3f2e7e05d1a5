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

	/** Binds the socket; rejects with the system's error when the address is taken. */
	async open(address: string): Promise<void> {
		const workerData: HeartbeatData = { octavoHeartbeat: address };
		const thread = new Worker(new URL(import.meta.url), { workerData });
		await new Promise<void>((resolve, reject) => {
			thread.once("message", (failure: string | null) => (failure === null ? resolve() : reject(new Error(failure))));
			thread.once("error", reject);
		});
		this.#thread = thread;
	}

	/** Stops echoing. */
	async close(): Promise<void> {
		const thread = this.#thread;
		if (!thread) return;
		// Not terminate(): ZeroMQ aborts the whole process when its thread vanishes during a receive.
		const exited = new Promise((resolve) => thread.once("exit", resolve));
		thread.postMessage(null);
		await exited;
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
