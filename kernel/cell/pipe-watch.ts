// Notices a worker that lives on without one of the kernel's own descriptors, since a cell or native code has closed it: no
// request would be answered any more, or no interrupt. A worker that ends closes them all, and needs no such notice.

import type { ChildProcess } from "node:child_process";
import type { Duplex } from "node:stream";

/** Time in which the ends of a process that ends arrive together, on a busy machine too, in milliseconds. */
const togetherMs = 500;
/** Time that a process may take to end after the last of its descriptors has been closed, in milliseconds. */
const endMs = 1000;

/**
 * Watches a process's descriptors.
 *
 * @param descriptors each with a pipe or socket of this process at its other end; what is not read by others is dropped
 * @param closed called at most once, with the descriptor that was closed first
 */
export function watchPipes(
	child: ChildProcess,
	descriptors: readonly number[],
	closed: (descriptor: number) => void,
): void {
	const ended = new Set<number>();
	const lives = () => child.exitCode === null && child.signalCode === null;
	const look = (first: number) => {
		if (!lives()) return;
		if (ended.size < descriptors.length) closed(first);
		else setTimeout(() => lives() && closed(first), endMs).unref();
	};
	for (const descriptor of descriptors) {
		const pipe = (child.stdio as unknown as Duplex[])[descriptor]!;
		const end = () => {
			const isFirst = ended.size === 0;
			ended.add(descriptor);
			// Behind what has arrived meanwhile: the other ends, where the process has ended.
			if (isFirst) setTimeout(() => setImmediate(look, descriptor), togetherMs).unref();
		};
		pipe.on("end", end).on("error", end);
		if (pipe.listenerCount("data") === 0) pipe.resume();
	}
}
