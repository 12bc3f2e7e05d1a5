// Collects the tasks and buffers of a schedule while a planner writes it down. Used by the planners and open to a
// notebook; it checks nothing, as `checkSchedule` is for that.

import type { TrainingConfiguration } from "./configuration.js";
import type { Access, BufferPlan, Phase, Resource, Schedule, Task, TaskKind } from "./task.js";

/** What a planner says of a task; the rest has the defaults of `ScheduleBuilder.task`. */
export interface TaskDraft {
	readonly id: string;
	readonly kind: TaskKind;
	readonly stream: string;
	readonly resource: Resource;
	readonly phase?: Phase;
	readonly microStep?: number;
	readonly layer?: number;
	readonly subgroup?: number;
	readonly elements?: number;
	readonly bytes?: number;
	readonly flops?: number;
	readonly reads?: readonly Access[];
	readonly writes?: readonly Access[];
	readonly after?: readonly (string | undefined)[];
}

/** Writes a schedule down, task by task. */
export class ScheduleBuilder {
	readonly #tasks: Task[] = [];
	readonly #buffers = new Map<string, BufferPlan>();

	constructor(
		readonly planner: string,
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
