// The fluid discrete-event core: tasks with dependencies, each with a time alone and demands on shared resources. A task
// runs at the lowest share that any resource it uses can give it (proportional sharing), until some task ends. A copy
// engine is the exception: it serves one copy after the other, which is what lets the two directions overlap.

import { OctavoError } from "../errors.js";
import type { TaskCost } from "./costs.js";

/** A task for the core: what must end before it, and what it costs. */
export interface FluidTask {
	/** Indices of the tasks before it. */
	readonly after: readonly number[];
	readonly cost: TaskCost;
}

/** Places in `TaskCost.demands` of the host-to-device and device-to-host copy engines. */
const copyEngines = [1, 2] as const;

/** When each task ran. */
export interface FluidTimes {
	/** Microseconds from the start of the run. */
	readonly startUs: Float64Array;
	readonly endUs: Float64Array;
	/** Busy time of each shared resource in full-speed microseconds. */
	readonly busyUs: readonly [number, number, number, number];
}

/**
 * Runs tasks to their end. Deterministic: equal inputs give equal times, to the bit.
 *
 * @throws {OctavoError} ERR_OCTAVO_SCHEDULE when the dependencies have a cycle
 */
export function runFluid(tasks: readonly FluidTask[]): FluidTimes {
	const startUs = new Float64Array(tasks.length);
	const endUs = new Float64Array(tasks.length);
	const missing = new Int32Array(tasks.length);
	const successors: number[][] = tasks.map(() => []);
	for (const [index, { after }] of tasks.entries()) {
		missing[index] = after.length;
		for (const before of after) successors[before]!.push(index);
	}
	const load: [number, number, number, number] = [0, 0, 0, 0];
	const busyUs: [number, number, number, number] = [0, 0, 0, 0];
	let running: { index: number; left: number }[] = [];
	let ready = tasks.map((_, index) => index).filter((index) => missing[index] === 0);
	let now = 0;
	let numDone = 0;

	const finish = (index: number, next: number[]): void => {
		endUs[index] = now;
		numDone++;
		for (const successor of successors[index]!) {
			missing[successor]!--;
			if (missing[successor] === 0) next.push(successor);
		}
	};
	while (true) {
		while (ready.length > 0) {
			const next: number[] = [];
			for (const index of ready) {
				startUs[index] = now;
				const { us } = tasks[index]!.cost;
				if (us > 0) running.push({ index, left: us });
				else finish(index, next);
			}
			ready = next;
		}
		if (running.length === 0) break;
		load.fill(0);
		const engineTaken = [false, false];
		const waits = running.map(({ index }) => {
			const { demands } = tasks[index]!.cost;
			const behind = copyEngines.some((r, engine) => demands[r]! > 0 && engineTaken[engine]);
			if (behind) return true;
			for (const [engine, r] of copyEngines.entries()) if (demands[r]! > 0) engineTaken[engine] = true;
			for (let r = 0; r < 4; r++) load[r]! += demands[r]!;
			return false;
		});
		let step = Number.POSITIVE_INFINITY;
		const speeds = running.map(({ index, left }, i) => {
			if (waits[i]) return 0;
			const { demands } = tasks[index]!.cost;
			let speed = 1;
			for (let r = 0; r < 4; r++) if (demands[r]! > 0 && load[r]! > 1) speed = Math.min(speed, 1 / load[r]!);
			step = Math.min(step, left / speed);
			return speed;
		});
		now += step;
		const still: typeof running = [];
		for (const [i, task] of running.entries()) {
			const { cost } = tasks[task.index]!;
			for (let r = 0; r < 4; r++) busyUs[r]! += cost.demands[r]! * speeds[i]! * step;
			task.left -= speeds[i]! * step;
			if (task.left > 1e-9 * cost.us) still.push(task);
			else finish(task.index, ready);
		}
		running = still;
	}
	if (numDone < tasks.length) {
		throw new OctavoError(
			"ERR_OCTAVO_SCHEDULE",
			`Expected tasks without a cycle but ${tasks.length - numDone} wait forever`,
		);
	}
	return { startUs, endUs, busyUs };
}
