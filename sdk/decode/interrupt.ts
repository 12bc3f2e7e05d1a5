// The signal of the notebook's interrupt button. A convention between a kernel and libraries, so that neither imports the
// other: a kernel keeps an AbortSignal under this symbol on `globalThis`, a new one for each cell.

const interruptSignal = Symbol.for("octavo.interrupt");

/** The caller's signal together with that of the cell that runs, where there is one. */
export function withInterrupt(signal: AbortSignal | undefined): AbortSignal | undefined {
	const interrupt: unknown = Reflect.get(globalThis, interruptSignal);
	if (!(interrupt instanceof AbortSignal)) return signal;
	return signal ? AbortSignal.any([signal, interrupt]) : interrupt;
}
