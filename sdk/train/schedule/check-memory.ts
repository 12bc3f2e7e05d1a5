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

/** The task at which one place may hold most. */
export interface PeakBound {
	readonly bytes: number;
	/** Index of the task; of several, the first in the schedule. */
	readonly index: number;
	/** What may be live there. */
	readonly live: readonly BufferPlan[];
	/** Index of the first user of the largest of these that is not there for the whole iteration, else of any. */
	readonly largestUser: number;
	readonly largest: BufferPlan | undefined;
}

/** Most that a place may hold at any task of a schedule. */
export function peakBound(schedule: Schedule, order: Order, place: "device" | "host"): PeakBound {
	const bounds = memoryBounds(schedule, order, place);
	const bytes = bounds.reduce((highest, bound) => Math.max(highest, bound), 0);
	const index = Math.max(0, bounds.indexOf(bytes));
	const uses = liveAt(usesOf(schedule, place), order, index);
	const [first, ...others] = uses;
	const worse = (a: Use, b: Use): boolean => !b.lasting && (a.lasting || b.buffer.bytes > a.buffer.bytes);
	const largest = first && others.reduce((a, b) => (worse(a, b) ? b : a), first);
	return {
		bytes,
		index,
		live: uses.map(({ buffer }) => buffer),
		largestUser: largest?.tasks[0] ?? index,
		largest: largest?.buffer,
	};
}

/** The moment at which most memory is missing, for each place with a limit. */
export function memoryProblems(schedule: Schedule, order: Order, limits: MemoryLimits): Problem[] {
	return (["device", "host"] as const).flatMap((place) => {
		const limit = place === "device" ? limits.deviceBytes : limits.hostBytes;
		if (limit === undefined) return [];
		const { bytes, index, live, largest, largestUser } = peakBound(schedule, order, place);
		if (bytes <= limit) return [];
		const [task, user] = [schedule.tasks[index]!.id, schedule.tasks[largestUser]!.id];
		return [
			{
				kind: "memory" as const,
				tasks: [task, user],
				message: `does not fit: short by ${bytes - limit} bytes on the ${place} at ${task}, because ${live.length} buffers may be live, such as ${largest!.id} of ${user}`,
				mend: `let ${user} wait until memory is free, use fewer or smaller buffers, or offload more`,
			},
		];
	});
}
