// What code meets when its cell is interrupted.

/** Key of the global AbortSignal that is aborted when the running cell is interrupted; long native calls listen to it. */
export const interruptSignal = Symbol.for("octavo.interrupt");

/** What awaiting cell code is rejected with. */
export class Interrupted extends Error {
	override readonly name = "Interrupted";

	constructor() {
		super("The cell was interrupted.");
	}
}
