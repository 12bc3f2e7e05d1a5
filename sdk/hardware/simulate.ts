// Plays a schedule on a profile: the simulator's public face. A stream is a lane of tasks in the order of the list, so
// each task waits for the one before it on its stream besides its own dependencies.

import { OctavoError, received } from "../errors.js";
import type { Schedule, Task } from "../train/schedule/task.js";
import { sharedResources, taskCosts } from "./costs.js";
import { type FluidTask, runFluid } from "./fluid.js";
import { constantsOf, type Profile } from "./profile.js";

/** When one task ran, in microseconds from the start of the iteration. */
export interface SimulatedTask {
	readonly task: Task;
	readonly startUs: number;
	readonly endUs: number;
}

/** One simulated iteration of one rank; all ranks are alike. */
export interface Simulation {
	readonly schedule: Schedule;
	readonly profile: Profile;
	readonly tasks: readonly SimulatedTask[];
	/** Times of the phases; the update ends when the host goes on, copies may still trail. */
	readonly forwardUs: number;
	readonly backwardUs: number;
	readonly updateUs: number;
	/** Whole iteration: phases, what lies between them, and trailing copies. */
	readonly iterationUs: number;
	/** Share of the iteration in which each shared resource was used, from 0 to 1. */
	readonly utilisation: Readonly<Record<(typeof sharedResources)[number], number>>;
}

/** Indices of the tasks that each task waits for: its dependencies and the task before it on its stream. */
export function predecessors(schedule: Schedule): number[][] {
	const indexOf = new Map(schedule.tasks.map((task, index) => [task.id, index]));
	const lastOnStream = new Map<string, number>();
	return schedule.tasks.map((task, index) => {
		const before = task.after.map((id) => {
			const found = indexOf.get(id);
			if (found === undefined) {
				throw new OctavoError(
					"ERR_OCTAVO_SCHEDULE",
					`Expected ${task.id} to wait for a task but received ${received(id)}`,
				);
			}
			return found;
		});
		const previous = lastOnStream.get(task.stream);
		lastOnStream.set(task.stream, index);
		if (previous !== undefined && !before.includes(previous)) before.push(previous);
		return before;
	});
}

/**
 * Simulates one iteration.
 *
 * @throws {OctavoError} ERR_OCTAVO_PROFILE when a constant is no valid rate; ERR_OCTAVO_SCHEDULE when a task waits for
 * itself or for a task that is not there
 */
export function simulate(schedule: Schedule, profile: Profile): Simulation {
	const costs = taskCosts(schedule, constantsOf(profile));
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
