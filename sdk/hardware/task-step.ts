// What the stepper of an iteration gives for each task.

import type { Task } from "../train/schedule/task.js";

/** One task as the stepper meets it: it begins now. */
export interface TaskStep {
	/** Place in the order of starts, from 0. */
	readonly index: number;
	/** The task that begins. */
	readonly task: Task;
	/** Microseconds from the start of the iteration. */
	readonly startUs: number;
	/** Its end, likewise. */
	readonly endUs: number;
	/** Bytes in use as it begins: on the device of one rank. */
	readonly deviceBytes: number;
	/** The same by one rank on the host. */
	readonly hostBytes: number;
	/** Ids of the tasks that began before and still run. */
	readonly running: readonly string[];
}
