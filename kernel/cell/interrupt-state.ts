// What the worker's two threads share about interrupts: a few numbers in shared memory, and the thread's messages.

/**
 * Slots of the memory shared with the interrupt thread; `request`, `target`: ids of the oldest that runs and the newest meant;
 * `evaluating`: evaluations of a debugger that a signal ends.
 */
export const slot = { state: 0, requested: 1, handled: 2, active: 3, request: 4, target: 5, evaluating: 6 } as const;
/** States: the kernel's own code, never terminated; user code; user code that is being terminated. */
export const codeState = { own: 0, user: 1, terminating: 2 } as const;
/**
 * What `active` says: no cell; a cell; packages that a cell imports, which cannot be loaded again once terminated. Of several
 * cells the greatest.
 */
export const activity = { none: 0, cell: 1, loading: 2 } as const;
/** What the interrupt thread says: please interrupt what awaits; what ran has been terminated; a request has come. */
export type InterruptMessage = "ask" | "terminated" | "request";

/** What the main thread asks for: that held text be written soon; that memory which nothing holds be given back. */
export type MainMessage = "held" | "collect";

/** Whether no interrupt waits: all have been handled, or the newest was meant for a request that is over. */
export function isSettled(shared: Int32Array): boolean {
	return (
		Atomics.load(shared, slot.handled) === Atomics.load(shared, slot.requested) ||
		Atomics.load(shared, slot.target) < Atomics.load(shared, slot.request)
	);
}
