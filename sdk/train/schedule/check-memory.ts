// Memory that a schedule may need, whatever order its tasks run in: a buffer counts at a task unless all its uses are
// before or all are after that task. An upper bound, so what passes here fits.

import type { MemoryLimits, Problem } from "./checker.js";
import type { Order } from "./order.js";
import type { BufferPlan, Schedule } from "./task.js";

interface Use {
	readonly buffer: BufferPlan;
	readonly lasting: boolean;
	readonly tasks: readonly number[];
}

/** Bytes that may be live while each task runs, in the order of the schedule's tasks. */
export function memoryBounds(schedule: Schedule, order: Order, place: "device" | "host"): number[] {
	const uses = usesOf(schedule, place);
	return schedule.tasks.map((_, index) =>
		liveAt(uses, order, index).reduce((sum, { buffer }) => sum + buffer.bytes, 0),
	);
}

function usesOf({ tasks, buffers }: Schedule, place: "device" | "host"): Use[] {
	const users = new Map<string, number[]>();
	for (const [index, { reads, writes }] of tasks.entries()) {
		for (const id of new Set([...reads, ...writes].map((access) => access.buffer))) {
			users.set(id, [...(users.get(id) ?? []), index]);
		}
	}
	return buffers
		.filter((buffer) => buffer.place === place)
		.map((buffer) => ({
			buffer,
			lasting: buffer.initial !== undefined || buffer.final !== undefined,
			tasks: users.get(buffer.id) ?? [],
		}));
}

function liveAt(uses: readonly Use[], { precedes }: Order, index: number): Use[] {
	return uses.filter(({ lasting, tasks }) => {
		if (lasting) return true;
		return !tasks.every((user) => precedes(user, index)) && !tasks.every((user) => precedes(index, user));
	});
}

/** The moment at which most memory is missing, for each place with a limit. */
export function memoryProblems(schedule: Schedule, order: Order, limits: MemoryLimits): Problem[] {
	return (["device", "host"] as const).flatMap((place) => {
		const limit = place === "device" ? limits.deviceBytes : limits.hostBytes;
		if (limit === undefined) return [];
		const bounds = memoryBounds(schedule, order, place);
		const peak = bounds.reduce((highest, bytes) => Math.max(highest, bytes), 0);
		if (peak <= limit) return [];
		const index = bounds.indexOf(peak);
		const task = schedule.tasks[index]!.id;
		const live = liveAt(usesOf(schedule, place), order, index);
		const largest = live.reduce((a, b) => (!b.lasting && (a.lasting || b.buffer.bytes > a.buffer.bytes) ? b : a));
		const user = schedule.tasks[largest.tasks[0] ?? index]!.id;
		return [
			{
				kind: "memory" as const,
				tasks: [task, user],
				message: `does not fit: short by ${peak - limit} bytes on the ${place} at ${task}, because ${live.length} buffers may be live, such as ${largest.buffer.id} of ${user}`,
				mend: `let ${user} wait until memory is free, use fewer or smaller buffers, or offload more`,
			},
		];
	});
}
