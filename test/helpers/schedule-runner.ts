// Runs a schedule on symbols in random orders that its edges allow: the oracle for the checker, sharing no code with
// it. A task that does not find what it expects makes garbage; a copy carries over whatever it finds.

import type { Schedule } from "../../sdk/train/schedule/task.js";

const copies = new Set(["prefetch", "write-back", "upload", "store-gradient", "fetch-gradient"]);

/**
 * One run.
 *
 * @param random next number in [0, 1)
 * @returns what went wrong, or undefined when everything that must be new is
 */
export function runOnce(schedule: Schedule, random: () => number): string | undefined {
	const left = schedule.tasks.map((task, index) => ({ task, index }));
	const ended = new Set<string>();
	const held = new Map(schedule.buffers.map((buffer) => [buffer.id, buffer.initial ?? "nothing"]));
	const updates = new Map<string, number>();
	let normed = false;
	while (left.length > 0) {
		const isFirst = new Map<string, number>();
		for (const { task, index } of left) if (!isFirst.has(task.stream)) isFirst.set(task.stream, index);
		const ready = left.filter(
			({ task, index }) => isFirst.get(task.stream) === index && task.after.every((id) => ended.has(id)),
		);
		if (ready.length === 0) return "nothing can run";
		const next = ready[Math.floor(random() * ready.length)]!;
		left.splice(left.indexOf(next), 1);
		const { task } = next;
		ended.add(task.id);
		const found = task.reads.every(({ buffer, content }) => held.get(buffer) === content);
		if (task.kind === "norm") {
			if (!found) return "the norm is of other gradients";
			normed = true;
		}
		if (task.kind.endsWith("-update")) {
			if (!normed) return `${task.id} before the norm`;
			const key = `${task.subgroup}`;
			updates.set(key, (updates.get(key) ?? 0) + 1);
		}
		const carried = held.get(task.reads[0]?.buffer ?? "") ?? "nothing";
		for (const { buffer, content } of task.writes) {
			held.set(buffer, copies.has(task.kind) ? carried : found ? content : `garbage of ${task.id}`);
		}
	}
	for (const { id, final } of schedule.buffers) {
		if (final !== undefined && held.get(id) !== final) return `${id} holds ${held.get(id)} and not ${final}`;
	}
	return undefined;
}

/** A small seeded generator of numbers in [0, 1). */
export function seeded(seed: number): () => number {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
}
