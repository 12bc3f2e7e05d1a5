// What a request is told when its worker ends before it has answered.

/** Rejection of requests that a dying worker left unanswered. */
export class WorkerDied extends Error {
	override readonly name = "KernelWorkerDied";

	/** @param stderr the end of what the process wrote there: V8 says on it that memory ran out */
	constructor(code: number | null, signal: NodeJS.Signals | null, stderr: string) {
		super(`${how(code, signal, stderr)}. The worker was started again: variables of earlier cells are gone.`);
	}
}

function how(code: number | null, signal: NodeJS.Signals | null, stderr: string): string {
	if (/JavaScript heap out of memory/.test(stderr)) return "The cell worker ran out of memory (V8 heap limit)";
	return signal ? `The cell worker was ended by signal ${signal}` : `The cell worker ended with exit code ${code}`;
}
