// Collects the tasks and buffers of a schedule while a planner writes it down. Used by the planners and open to a
// notebook; it checks nothing, as `checkSchedule` is for that.

import type { TrainingConfiguration } from "./configuration.js";
import type { Access, BufferPlan, Phase, Resource, Schedule, Task, TaskKind } from "./task.js";

/** What a planner says of a task; the rest has the defaults of `ScheduleBuilder.task`. */
export interface TaskDraft {
	/** Name, unique in the schedule. */
	readonly id: string;
	/** What it does. */
	readonly kind: TaskKind;
	/** Lane: tasks of one stream run one at a time, in order. */
	readonly stream: string;
	/** What it runs on. */
	readonly resource: Resource;
	/** Default: the update. */
	readonly phase?: Phase;
	/** Micro-step of gradient accumulation, from 0. */
	readonly microStep?: number;
	/** Layer it works on; -1 is the embedding. */
	readonly layer?: number;
	/** Subgroup it works on. */
	readonly subgroup?: number;
	/** Parameters of this rank that it works on. */
	readonly elements?: number;
	/** Bytes it moves over its link or through its processor's memory. */
	readonly bytes?: number;
	/** Floating-point operations. */
	readonly flops?: number;
	/** What it reads, and which content it expects there. */
	readonly reads?: readonly Access[];
	/** What it writes, and which content it leaves there. */
	readonly writes?: readonly Access[];
	/** Ids of the tasks it waits for. */
	readonly after?: readonly (string | undefined)[];
}

/**
 * Writes a schedule down, task by task.
 *
 * @example
 * ```ts
 * import { schedules } from "octavo";
 * const model = {
 *   numLayers: 2, hiddenSize: 64, ffnSize: 128, numHeads: 4, numKvHeads: 2, sequenceLength: 32, vocabularySize: 128,
 * };
 * const configuration = {
 *   model, numNodes: 1, dataParallel: 1, tensorParallel: 1, microBatchSize: 1, gradientAccumulation: 1,
 *   subgroupNumels: schedules.formSubgroups(schedules.parameterNumels(model), 1, 30000),
 *   offloadRatio: 1, bucketElements: 50000,
 * };
 * const planned = schedules.zeroOffloadAsync(configuration);
 * console.log(schedules.findProblems(planned).length);   // 0
 * const mine = new schedules.ScheduleBuilder("without an upload", configuration);
 * for (const buffer of planned.buffers) mine.buffer(buffer);
 * for (const task of planned.tasks) {
 *   const after = task.after.filter((id) => id !== "pageable-upload[1]");
 *   if (task.id !== "pageable-upload[1]") mine.task({ ...task, after });
 * }
 * console.log(schedules.findProblems(mine.build())[0].kind);   // lost-write-back
 * ```
 */
export class ScheduleBuilder {
	readonly #tasks: Task[] = [];
	readonly #buffers = new Map<string, BufferPlan>();

	constructor(
		/** Name of the planner. */
		readonly planner: string,
		/** What is trained. */
		readonly configuration: TrainingConfiguration,
	) {}

	/** Adds a buffer once; later calls with the same id change nothing. Gives its id. */
	buffer(plan: BufferPlan): string {
		if (!this.#buffers.has(plan.id)) this.#buffers.set(plan.id, plan);
		return plan.id;
	}

	/**
	 * Adds a task and gives its id. Defaults: the update phase, micro-step 0, no elements, bytes, flops or accesses; an
	 * undefined predecessor is left out.
	 */
	task(draft: TaskDraft): string {
		const { layer, subgroup, after = [] } = draft;
		this.#tasks.push({
			id: draft.id,
			kind: draft.kind,
			phase: draft.phase ?? "update",
			microStep: draft.microStep ?? 0,
			...(layer === undefined ? {} : { layer }),
			...(subgroup === undefined ? {} : { subgroup }),
			stream: draft.stream,
			resource: draft.resource,
			elements: draft.elements ?? 0,
			bytes: draft.bytes ?? 0,
			flops: draft.flops ?? 0,
			reads: draft.reads ?? [],
			writes: draft.writes ?? [],
			after: [...new Set(after.filter((id) => id !== undefined))],
		});
		return draft.id;
	}

	/** The latest task of every stream: what to wait for to wait for everything. */
	latest(): string[] {
		return [...new Map(this.#tasks.map((task) => [task.stream, task.id])).values()];
	}

	/** The schedule so far. */
	build(): Schedule {
		const buffers = [...this.#buffers.values()];
		return { planner: this.planner, configuration: this.configuration, buffers, tasks: [...this.#tasks] };
	}
}
