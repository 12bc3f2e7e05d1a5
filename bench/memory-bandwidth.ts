// How fast do all threads together read memory here? The limit of decoding, which reads every weight for every token.
// A search for a byte that is not there is the C library's vectorised memchr: a pure reader at the machine's speed.

import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

// Far beyond any cache that a thread might have for itself.
const bytesPerThread = 256 * 2 ** 20;
const numPasses = 6;

/** Read bandwidth in bytes per second, the best of several passes over fresh buffers. */
export async function measureReadBandwidth(numThreads = availableParallelism()): Promise<number> {
	const gate = new Int32Array(new SharedArrayBuffer(4));
	const workers = Array.from(
		{ length: numThreads },
		() => new Worker(fileURLToPath(import.meta.url), { workerData: gate }),
	);
	try {
		const next = (worker: Worker) => new Promise<number[]>((resolve) => worker.once("message", resolve));
		await Promise.all(workers.map(next));
		const done = workers.map(next);
		Atomics.store(gate, 0, 1);
		Atomics.notify(gate, 0);
		const seconds = await Promise.all(done);
		// Threads run pass by pass together; a pass lasts as long as its slowest thread.
		const passes = seconds[0]!.map((_, pass) => Math.max(...seconds.map((times) => times[pass]!)));
		return (numThreads * bytesPerThread) / Math.min(...passes);
	} finally {
		await Promise.all(workers.map((worker) => worker.terminate()));
	}
}

if (!isMainThread && workerData instanceof Int32Array) {
	const buffer = Buffer.alloc(bytesPerThread, 1);
	parentPort!.postMessage([]);
	Atomics.wait(workerData, 0, 0);
	const seconds = Array.from({ length: numPasses }, () => {
		const start = performance.now();
		if (buffer.indexOf(0) !== -1) throw new Error("the buffer holds no zero");
		return (performance.now() - start) / 1000;
	});
	parentPort!.postMessage(seconds);
}
