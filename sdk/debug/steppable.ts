// What can be stepped, whatever it computes: decoding a token at a time, and later a training task at a time. Front
// ends and debuggers speak to this and not to a session.

import type { Breakpoint } from "./breakpoints.js";

/** Something that advances in steps, stops at breakpoints and can be looked at in between. */
export interface Steppable<Step, Kinds, RunOptions, RunResult, StepOptions = unknown> {
	/** Completes one step off the main thread. */
	step(options?: StepOptions): Promise<Step>;
	/** Completes one step on the calling thread. */
	stepSync(options?: StepOptions): Step;
	/** Steps until an end is reached. */
	steps(options?: RunOptions): AsyncIterable<Step>;
	/** Runs natively until a breakpoint or an end. */
	run(options?: RunOptions): Promise<RunResult>;
	/** The same on the calling thread. */
	runSync(options?: RunOptions): RunResult;
	/** Stops `run` at a happening. */
	breakOn<K extends keyof Kinds>(kind: K, condition?: (event: Kinds[K]) => boolean): Breakpoint;
	/** Frees what it holds; its trace stays. */
	close(): void;
}
