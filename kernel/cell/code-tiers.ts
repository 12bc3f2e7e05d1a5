// When V8 compiles what the worker runs, and how well. TypeScript is so large that at V8's own threshold the optimizing
// compiler is busy throughout a notebook's first hundred cells, on the cores that they need, for code that mostly does not
// run often: 4.4 ms of processor time a cell instead of 2.7. Plain machine code is soon made, but at the start nothing is.

import { setFlagsFromString } from "node:v8";

/**
 * Bytes of bytecode that a function runs before V8 weighs whether to optimize it, some fifteen times V8's own: a loop that
 * computes reaches it within a millisecond.
 */
const optimizeAfterBytes = 1_000_000;

let skips = false;

/** Has what runs from now on optimized later. */
export function optimizeLate(): void {
	setFlagsFromString(`--interrupt-budget=${optimizeAfterBytes}`);
}

/** Has functions made into machine code before their first call, from the first call of this function on. */
export function skipInterpreter(): void {
	if (skips) return;
	skips = true;
	setFlagsFromString("--always-sparkplug");
}
