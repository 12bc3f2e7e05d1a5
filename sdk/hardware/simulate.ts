// Plays a schedule on a profile: the simulator's public face. A stream is a lane of tasks in the order of the list, so
// each task waits for the one before it on its stream besides its own dependencies.

import { OctavoError, received } from "../errors.js";
import { requireSchedule } from "../train/schedule/checker.js";
import { predecessors } from "../train/schedule/order.js";
import type { Schedule, Task } from "../train/schedule/task.js";
import { sharedResources, taskCosts } from "./costs.js";
import { type FluidTask, runFluid } from "./fluid.js";
import { constantsOf, type Profile } from "./profile.js";

/** When one task ran, in microseconds from the start of the iteration. */
export interface SimulatedTask {
	/** The task. */
	readonly task: Task;
	/** Its start, in microseconds. */
	readonly startUs: number;
	/** Its end, in microseconds. */
	readonly endUs: number;
}

/** One simulated iteration of one rank; all ranks are alike. */
export interface Simulation {
	/** What was simulated. */
	readonly schedule: Schedule;
	/** On what. */
	readonly profile: Profile;
	/** Every task with start and end. */
	readonly tasks: readonly SimulatedTask[];
	/** Times of the phases; the update ends when the host goes on, copies may still trail. */
	readonly forwardUs: number;
	/** In microseconds. */
	readonly backwardUs: number;
	/** In microseconds. */
	readonly updateUs: number;
	/** Whole iteration: phases, what lies between them, and trailing copies. */
	readonly iterationUs: number;
	/** Share of the iteration in which each shared resource was used, from 0 to 1. */
	readonly utilisation: Readonly<Record<(typeof sharedResources)[number], number>>;
}

/**
 * Simulates one iteration.
 *
 * @example
 * ```ts
 * import { hardware, schedules } from "octavo";
 * const model = {
 *   numLayers: 32, hiddenSize: 4096, ffnSize: 11008, numHeads: 32, numKvHeads: 4, sequenceLength: 2048,
 *   vocabularySize: 50304,
 * };
 * const configuration = {
 *   model, numNodes: 1, dataParallel: 4, tensorParallel: 1, microBatchSize: 1, gradientAccumulation: 1,
 *   subgroupNumels: schedules.formSubgroups(schedules.parameterNumels(model), 4, 1e8),
 *   offloadRatio: 1, bucketElements: 5e8,
 * };
 * const node = hardware.profileByName("h100-4x");
 * const serial = hardware.simulate(schedules.zeroOffloadAsync(configuration), node);
 * const interleaved = hardware.simulate(schedules.deepOptimizerStates(configuration, { updateStride: 2 }), node);
 * console.log(interleaved.updateUs < 0.6 * serial.updateUs);   // true
 * ```
 *
 * @throws {OctavoError} ERR_OCTAVO_PROFILE when a constant is no valid rate; ERR_OCTAVO_SCHEDULE when a task waits for
 * itself or for a task that is not there
 */
export function simulate(schedule: Schedule, profile: Profile): Simulation {
	const constants = constantsOf(profile);
	requireSchedule(schedule);
	const costs = taskCosts(schedule, constants);
	refuseUnknownTasks(schedule);
	const before = predecessors(schedule);
	const fluid: FluidTask[] = costs.map((cost, index) => ({ cost, after: before[index]! }));
	const { startUs, endUs, busyUs } = runFluid(fluid);
	const tasks = schedule.tasks.map((task, index) => ({ task, startUs: startUs[index]!, endUs: endUs[index]! }));
	const iterationUs = endUs.reduce((latest, end) => Math.max(latest, end), 0);
	const shares = sharedResources.map((name, r) => [name, iterationUs > 0 ? Math.min(1, busyUs[r]! / iterationUs) : 0]);
	return {
		schedule,
		profile,
		tasks,
		...phaseTimes(tasks),
		iterationUs,
		utilisation: Object.fromEntries(shares) as Simulation["utilisation"],
	};
}

function refuseUnknownTasks({ tasks }: Schedule): void {
	const known = new Set(tasks.map((task) => task.id));
	for (const task of tasks) {
		const unknown = task.after.find((id) => !known.has(id));
		if (unknown === undefined) continue;
		const message = `Expected ${task.id} to wait for tasks of the schedule but received ${received(unknown)}`;
		throw new OctavoError("ERR_OCTAVO_SCHEDULE", message);
	}
}

/** Sums each phase from its first start to its end marker, which leaves the releases between phases out. */
function phaseTimes(tasks: readonly SimulatedTask[]): Pick<Simulation, "forwardUs" | "backwardUs" | "updateUs"> {
	const sums = { forward: 0, backward: 0, update: 0 };
	let start: number | undefined;
	let phase: string | undefined;
	for (const { task, startUs, endUs } of tasks) {
		if (task.phase !== phase || start === undefined) {
			phase = task.phase;
			start = startUs;
		}
		start = Math.min(start, startUs);
		if (task.kind === "wait" && task.id.startsWith("end-")) {
			sums[task.phase] += endUs - start;
			start = undefined;
			phase = undefined;
		} else if (task.kind === "release") {
			start = undefined;
			phase = undefined;
		}
	}
	return { forwardUs: sums.forward, backwardUs: sums.backward, updateUs: sums.update };
}
