// When V8 optimizes what the worker runs. TypeScript is so large that at V8's own threshold the optimizing compiler is busy
// throughout a notebook's first hundred cells, on the cores that they need, for code that mostly does not run often: 7.3 ms
// of processor time a cell instead of 4.6.

import { setFlagsFromString } from "node:v8";

/**
 * Bytes of bytecode that a function runs before V8 weighs whether to optimize it, some fifteen times V8's own: a loop that
 * computes reaches it within a millisecond.
 */
const optimizeAfterBytes = 1_000_000;

/** Sets the threshold for all that this process compiles from now on. */
export function setCodeTiers(): void {
	setFlagsFromString(`--interrupt-budget=${optimizeAfterBytes}`);
}
