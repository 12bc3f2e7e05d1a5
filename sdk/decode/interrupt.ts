// The signal of the notebook's interrupt button. A convention between a kernel and libraries, so that neither imports the
// other: a kernel keeps an AbortSignal under this symbol on `globalThis`, a new one for each cell.

const interruptSignal = Symbol.for("octavo.interrupt");

function notebookSignal(): AbortSignal | undefined {
	const interrupt: unknown = Reflect.get(globalThis, interruptSignal);
	return interrupt instanceof AbortSignal ? interrupt : undefined;
}

/**
 * An asynchronous call to an engine, from its beginning. A kernel terminates what does not yield to an interrupt, and with
 * it what would have said that the call is over: after an interrupt it is, as soon as the engine is at rest.
 */
export class PendingCall {
	readonly #engine: { readonly busy: boolean };
	readonly #interrupt = notebookSignal();

	constructor(engine: { readonly busy: boolean }) {
		this.#engine = engine;
	}

	/** Whether it has ended without saying so. */
	get isOver(): boolean {
		return this.#interrupt?.aborted === true && !this.#engine.busy;
	}
}

/** The caller's signal together with that of the cell that runs, where there is one. */
export function withInterrupt(signal: AbortSignal | undefined): AbortSignal | undefined {
	const interrupt = notebookSignal();
	if (!interrupt) return signal;
	return signal ? AbortSignal.any([signal, interrupt]) : interrupt;
}
