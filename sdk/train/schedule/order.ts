// What must happen before what, over a schedule's edges and streams; the ground that the checker stands on.

import type { Schedule } from "./task.js";

/** Indices of the tasks that each task waits for: its dependencies and the task before it on its stream. */
export function predecessors(schedule: Schedule): number[][] {
	const indexOf = new Map(schedule.tasks.map((task, index) => [task.id, index]));
	const lastOnStream = new Map<string, number>();
	return schedule.tasks.map((task, index) => {
		const before = task.after.map((id) => indexOf.get(id)).filter((found) => found !== undefined);
		const previous = lastOnStream.get(task.stream);
		lastOnStream.set(task.stream, index);
		if (previous !== undefined && !before.includes(previous)) before.push(previous);
		return before;
	});
}

/** The happens-before relation of a schedule, and one order that respects it. */
export interface Order {
	/** Task indices, each after all it waits for; of those that could come next, the first in the list. */
	readonly sequence: readonly number[];
	/** Indices of tasks in or behind a cycle; empty when there is none. */
	readonly stuck: readonly number[];
	/** Whether task `a` has always ended before task `b` starts. */
	precedes(a: number, b: number): boolean;
}

/** Works out the order of a schedule. */
export function orderOf(schedule: Schedule): Order {
	const before = predecessors(schedule);
	const n = before.length;
	const successors: number[][] = before.map(() => []);
	const missing = before.map((list, index) => {
		for (const other of list) successors[other]!.push(index);
		return list.length;
	});
	const words = Math.ceil(n / 32);
	const ancestors = new Uint32Array(n * words);
	const ready = missing.flatMap((count, index) => (count === 0 ? [index] : []));
	const sequence: number[] = [];
	for (let index = ready.shift(); index !== undefined; index = ready.shift()) {
		sequence.push(index);
		for (const other of before[index]!) {
			for (let word = 0; word < words; word++) ancestors[index * words + word]! |= ancestors[other * words + word]!;
			ancestors[index * words + (other >>> 5)]! |= 1 << (other & 31);
		}
		for (const successor of successors[index]!) if (--missing[successor]! === 0) ready.push(successor);
	}
	const done = new Set(sequence);
	return {
		sequence,
		stuck: before.map((_, index) => index).filter((index) => !done.has(index)),
		precedes: (a, b) => ((ancestors[b * words + (a >>> 5)]! >>> (a & 31)) & 1) === 1,
	};
}
