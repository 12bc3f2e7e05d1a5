// A simulated iteration to walk through: task by task in the order of their starts, with breakpoints and rewinding. The
// simulation itself is complete from the beginning, so stepping back costs nothing.

import { type Breakpoint, Breakpoints } from "../debug/breakpoints.js";
import { type LiveView, LiveViews } from "../debug/live-view.js";
import type { Steppable } from "../debug/steppable.js";
import { OctavoError, received } from "../errors.js";
import { anything, checkOptions } from "../options.js";
import type { IterationTrace } from "../trace/iteration-trace.js";
import type { TrainingConfiguration } from "../train/schedule/configuration.js";
import type { Schedule } from "../train/schedule/task.js";
import { drawTimeline } from "./live-timeline.js";
import type { Profile } from "./profile.js";
import { recordIteration } from "./record.js";
import { searchOctavo } from "./search.js";
import { type Simulation, simulate } from "./simulate.js";
import { orderOfStarts } from "./task-order.js";
import type { TaskStep } from "./task-step.js";

/** Kinds of breakpoints; each condition gets the task that begins. */
export interface IterationEvents {
	/** Any task. */
	task: TaskStep;
	/** The first task of a phase (and of each micro-step's). */
	phase: TaskStep;
	/** A task of one subgroup. */
	subgroup: TaskStep;
	/** A task that works: all but waits. */
	resource: TaskStep;
	/** A task with other memory in use than the one before it. */
	memory: TaskStep;
}

/** How far `run` and `steps` go. */
export interface IterationRunOptions {
	/** Most tasks, at least 1; default all that are left. */
	readonly maxTasks?: number;
}

/** Why `run` ended. */
export interface IterationRunResult {
	/** Why it stopped. */
	readonly reason: "end" | "breakpoint" | "maxTasks";
	/** The last task taken; absent when there was none left. */
	readonly step?: TaskStep;
	/** The breakpoint that stopped it. */
	readonly breakpoint?: Breakpoint;
}

/** Where to go back to: a number of tasks taken, before a task, or a moment. */
export type IterationRewindTo = { readonly tasks: number } | { readonly before: string } | { readonly timeUs: number };

/**
 * One simulated iteration, walked task by task. A run stops with the task that its breakpoint names just begun.
 *
 * @example
 * ```ts
 * import { hardware, schedules } from "octavo";
 * const schedule = schedules.deepOptimizerStates(schedules.publishedConfiguration("7B"), { updateStride: 2 });
 * const iteration = hardware.simulateIteration(schedule, hardware.profileByName("h100-4x"));
 * iteration.breakOn("subgroup", ({ task }) => task.kind === "prefetch" && task.subgroup === 3);
 * const { step } = iteration.runSync();
 * console.log(step!.task.id, step!.running.length > 0);   // prefetch[3].master true
 * iteration.rewind({ tasks: 0 });
 * ```
 */
export class SimulatedIteration
	implements Steppable<TaskStep, IterationEvents, IterationRunOptions, IterationRunResult>
{
	/** The simulation that is walked through. */
	readonly simulation: Simulation;
	/** The whole iteration as Arrow tables, whatever has been stepped through. */
	readonly trace: IterationTrace;
	readonly #order: readonly TaskStep[];
	readonly #breakpoints = new Breakpoints<IterationEvents>(["task", "phase", "subgroup", "resource", "memory"]);
	readonly #views = new LiveViews();
	#next = 0;
	#closed = false;

	/** Made by `simulateIteration`; or from a simulation that is there already. */
	constructor(simulation: Simulation) {
		this.simulation = simulation;
		this.trace = recordIteration(simulation);
		this.#order = orderOfStarts(simulation);
	}

	/** Tasks taken so far. */
	get numTaken(): number {
		return this.#next;
	}

	/** Tasks of the iteration. */
	get numTasks(): number {
		return this.#order.length;
	}

	/** @throws {OctavoError} ERR_OCTAVO_END when no task is left; ERR_OCTAVO_CLOSED */
	async step(): Promise<TaskStep> {
		return this.stepSync();
	}

	/** @throws {OctavoError} ERR_OCTAVO_END when no task is left; ERR_OCTAVO_CLOSED */
	stepSync(): TaskStep {
		this.#refuseClosed();
		const step = this.#order[this.#next];
		if (!step) {
			const message = `Expected a task to be left but all ${this.numTasks} are done; rewind to go again`;
			throw new OctavoError("ERR_OCTAVO_END", message);
		}
		this.#next++;
		this.#views.changed();
		return step;
	}

	/** Tasks until the end or `maxTasks`; breakpoints do not stop it, as a loop stops itself. */
	async *steps(options: IterationRunOptions = {}): AsyncGenerator<TaskStep> {
		const most = this.#most(options);
		for (let taken = 0; taken < most && this.#next < this.numTasks; taken++) yield this.stepSync();
	}

	async run(options: IterationRunOptions = {}): Promise<IterationRunResult> {
		return this.runSync(options);
	}

	/** @throws {OctavoError} ERR_OCTAVO_OPTION, ERR_OCTAVO_CLOSED; and whatever a condition throws */
	runSync(options: IterationRunOptions = {}): IterationRunResult {
		this.#refuseClosed();
		const most = this.#most(options);
		let step: TaskStep | undefined;
		for (let taken = 0; this.#next < this.numTasks; taken++) {
			if (taken === most) return { reason: "maxTasks", ...(step ? { step } : {}) };
			step = this.stepSync();
			const breakpoint = this.#hit(step);
			if (breakpoint) return { reason: "breakpoint", step, breakpoint };
		}
		return { reason: "end", ...(step ? { step } : {}) };
	}

	/** @throws {OctavoError} ERR_OCTAVO_BREAKPOINT for an unknown kind or a condition that is no function */
	breakOn<K extends keyof IterationEvents>(kind: K, condition?: (event: IterationEvents[K]) => boolean): Breakpoint {
		return this.#breakpoints.add(kind, condition);
	}

	/**
	 * Goes back (or on) to where so many tasks are taken, before a task, or to a moment: all tasks begun before it taken.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_OPTION for a number outside the iteration or a task that is not there
	 */
	rewind(to: IterationRewindTo): void {
		this.#refuseClosed();
		checkOptions("rewind()", to, { tasks: anything, before: anything, timeUs: anything });
		const given = to as { tasks?: unknown; before?: unknown; timeUs?: unknown };
		if (given.before !== undefined) {
			const index = this.#order.findIndex(({ task }) => task.id === given.before);
			if (index < 0) refuse("the id of a task of the schedule for before", given.before);
			this.#next = index;
		} else if (given.timeUs !== undefined) {
			const time = given.timeUs as number;
			if (!Number.isFinite(time) || time < 0) refuse("a time of at least 0 for timeUs", time);
			const index = this.#order.findIndex(({ startUs }) => startUs >= time);
			this.#next = index < 0 ? this.numTasks : index;
		} else {
			const tasks = given.tasks as number;
			const valid = Number.isInteger(tasks) && tasks >= 0 && tasks <= this.numTasks;
			if (!valid) refuse(`a whole number from 0 to ${this.numTasks} for tasks`, tasks);
			this.#next = tasks;
		}
		this.#views.changed();
	}

	/**
	 * A timeline that follows the walk, with buttons to take a task, to go on to the next breakpoint and to go back by a
	 * task. Show it as a cell's last expression.
	 */
	view(): LiveView {
		this.#refuseClosed();
		return this.#views.open({
			busy: false,
			draw: () => drawTimeline(this.#order, this.#next),
			actions: {
				step: () => this.stepSync(),
				run: () => this.runSync(),
				back: () => this.rewind({ tasks: Math.max(0, this.#next - 1) }),
			},
		});
	}

	/** Ends the walk; the trace stays. */
	close(): void {
		this.#views.close();
		this.#closed = true;
	}

	#hit(step: TaskStep): Breakpoint | undefined {
		const before = this.#order[step.index - 1];
		const { phase, microStep, subgroup, kind } = step.task;
		const kinds: (keyof IterationEvents)[] = ["task"];
		if (phase !== before?.task.phase || microStep !== before.task.microStep) kinds.push("phase");
		if (subgroup !== undefined) kinds.push("subgroup");
		if (kind !== "wait") kinds.push("resource");
		if (step.deviceBytes !== before?.deviceBytes || step.hostBytes !== before.hostBytes) kinds.push("memory");
		for (const each of kinds) {
			const found = this.#breakpoints.match(each, step);
			if (found) return found;
		}
		return undefined;
	}

	#most(options: IterationRunOptions): number {
		checkOptions("run()", options, { maxTasks: anything });
		const { maxTasks = Number.POSITIVE_INFINITY } = options;
		const valid = maxTasks === Number.POSITIVE_INFINITY || (Number.isInteger(maxTasks) && maxTasks >= 1);
		if (!valid) refuse("a whole number, at least 1, for maxTasks", maxTasks);
		return maxTasks;
	}

	#refuseClosed(): void {
		if (this.#closed) throw new OctavoError("ERR_OCTAVO_CLOSED", "Expected an open iteration but it was closed");
	}
}

function refuse(expected: string, came: unknown): never {
	throw new OctavoError("ERR_OCTAVO_OPTION", `Expected ${expected} but received ${received(came)}`);
}

/**
 * Simulates an iteration for stepping and for charts.
 *
 * @param what a schedule; or a configuration, which is played with our schedule as `searchOctavo` finds it
 * @throws {OctavoError} ERR_OCTAVO_PROFILE, ERR_OCTAVO_SCHEDULE; for a configuration also ERR_OCTAVO_CONFIGURATION and
 * ERR_OCTAVO_MEMORY
 */
export function simulateIteration(what: Schedule | TrainingConfiguration, profile: Profile): SimulatedIteration {
	const simulation = "tasks" in what ? simulate(what, profile) : searchOctavo(what, profile).simulation;
	return new SimulatedIteration(simulation);
}
