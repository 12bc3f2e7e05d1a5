// Lets an interrupt end what a debugger evaluates. The inspector takes no message while it evaluates, not even one to terminate:
// a signal ends it, which the interrupt thread sends while shared memory says that an evaluation waits for it.

import { Script } from "node:vm";
import { slot } from "./interrupt-state.js";
import { Interrupted } from "./interrupted.js";

const holder = Symbol.for("octavo.evaluation");
const script = new Script(`globalThis[Symbol.for("octavo.evaluation")]()`);
const ignore = () => {};

/**
 * Calls a function that the signal SIGINT ends.
 *
 * @param shared memory that the interrupt thread sees
 * @throws {Interrupted} when it has been ended
 */
export function endedBySignal<T>(shared: Int32Array, call: () => T): T {
	const global = globalThis as { [holder]?: () => T };
	const outer = global[holder];
	// One that comes too late must not end the process.
	if (!process.listeners("SIGINT").includes(ignore)) process.on("SIGINT", ignore);
	try {
		global[holder] = call;
		Atomics.add(shared, slot.evaluating, 1);
		return script.runInThisContext({ breakOnSigint: true, displayErrors: false });
	} catch (error) {
		const { code } = Object(error) as NodeJS.ErrnoException;
		throw code === "ERR_SCRIPT_EXECUTION_INTERRUPTED" ? new Interrupted() : error;
	} finally {
		Atomics.sub(shared, slot.evaluating, 1);
		if (outer) global[holder] = outer;
		else delete global[holder];
	}
}
