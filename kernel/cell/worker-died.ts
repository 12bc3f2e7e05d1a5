// What a request is told when its worker ends before it has answered.

/** Rejection of requests that a dying worker left unanswered. */
export class WorkerDied extends Error {
	override readonly name = "KernelWorkerDied";

	/**
	 * @param how a sentence without its full stop
	 * @param wasReady false when it ended while it started: it would only do so again
	 */
	constructor(how: string, wasReady: boolean) {
		const next = "The worker was started again: variables of earlier cells are gone";
		super(`${how}${wasReady ? `. ${next}` : " while it started. The next cell tries again"}.`);
	}
}

/**
 * Says how a worker ended by itself.
 *
 * @param stderr the end of what the process wrote there: V8 says on it that memory ran out
 */
export function howItEnded(code: number | null, signal: NodeJS.Signals | null, stderr: string): string {
	if (/JavaScript heap out of memory/.test(stderr)) return "The cell worker ran out of memory (V8 heap limit)";
	return signal ? `The cell worker was ended by signal ${signal}` : `The cell worker ended with exit code ${code}`;
}

/** Says why a worker was ended by the front process. */
export function howItSpoiled(how: "written to" | "closed", descriptor: number): string {
	return `The cell, or native code that it called, has ${how} descriptor ${descriptor}, which is the kernel's own`;
}
