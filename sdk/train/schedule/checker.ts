// Proves a schedule sound before anything runs: in every order that its edges and streams allow, each task reads what
// it expects, each subgroup is updated once, and what must be new at the end is. Names two tasks and how to mend it.

import { OctavoError, received } from "../../errors.js";
import { planBuckets } from "./buckets.js";
import { type ContentFacts, contentFacts, contentFault } from "./check-contents.js";
import { countPasses, countUpdates } from "./check-counts.js";
import { memoryProblems } from "./check-memory.js";
import { type Order, orderOf } from "./order.js";
import type { Schedule, Task } from "./task.js";

/** Kinds of fault. */
export type ProblemKind =
	| "malformed"
	| "cycle"
	| "unordered"
	| "read-before-write"
	| "wrong-content"
	| "updated-twice"
	| "never-updated"
	| "lost-write-back"
	| "incomplete"
	| "memory";

/** One fault of a schedule. */
export interface Problem {
	/** What is wrong. */
	readonly kind: ProblemKind;
	/** Ids of the tasks it is between; one when there is no second. */
	readonly tasks: readonly string[];
	/** What is wrong. */
	readonly message: string;
	/** How to mend it. */
	readonly mend: string;
}

/** Memory that a schedule must fit in. Absent: not checked. */
export interface MemoryLimits {
	/** Bytes of one rank's device. */
	readonly deviceBytes?: number;
	/** Bytes of host memory for one rank. */
	readonly hostBytes?: number;
}

/**
 * Finds the faults of a schedule; empty when it is sound. Malformed schedules and cycles hide further faults.
 *
 * @throws {OctavoError} ERR_OCTAVO_SCHEDULE for what is no schedule
 */
export function findProblems(schedule: Schedule, limits: MemoryLimits = {}): Problem[] {
	requireSchedule(schedule);
	const malformed = findMalformed(schedule);
	if (malformed.length > 0) return malformed;
	const order = orderOf(schedule);
	if (order.stuck.length > 0) return [describeCycle(schedule, order)];
	const facts = contentFacts(schedule, planBuckets(schedule.configuration));
	return [
		...findUnordered(schedule, order),
		...replay(schedule, order, facts),
		...countUpdates(schedule, order, facts),
		...countPasses(schedule, facts),
		...memoryProblems(schedule, order, limits),
	];
}

/**
 * Accepts a sound schedule and refuses any other.
 *
 * @throws {OctavoError} ERR_OCTAVO_SCHEDULE with the first fault, its two tasks and how to mend it
 */
export function checkSchedule(schedule: Schedule, limits: MemoryLimits = {}): void {
	const [first, ...more] = findProblems(schedule, limits);
	if (!first) return;
	const rest = more.length > 0 ? ` (and ${more.length} more)` : "";
	throw new OctavoError("ERR_OCTAVO_SCHEDULE", `${first.message}; ${first.mend}${rest}`);
}

/**
 * Refuses what is no schedule at all, before its parts are looked at.
 *
 * @throws {OctavoError} ERR_OCTAVO_SCHEDULE
 */
export function requireSchedule(schedule: Schedule): void {
	const { tasks, buffers, configuration } = schedule ?? {};
	if (Array.isArray(tasks) && Array.isArray(buffers) && typeof configuration === "object" && configuration !== null)
		return;
	const expected = "a schedule, with tasks, buffers and a configuration, as the planners in schedules make them,";
	throw new OctavoError("ERR_OCTAVO_SCHEDULE", `Expected ${expected} but received ${received(schedule)}`);
}

function findMalformed({ tasks, buffers }: Schedule): Problem[] {
	const problems: Problem[] = [];
	const ids = new Set<string>();
	const known = new Set(buffers.map((buffer) => buffer.id));
	const all = new Set(tasks.map((task) => task.id));
	const add = (task: Task, message: string, mend: string): void => {
		problems.push({ kind: "malformed", tasks: [task.id], message: `${task.id} ${message}`, mend });
	};
	for (const task of tasks) {
		if (ids.has(task.id)) add(task, "has the id of another task", "give each task its own id");
		ids.add(task.id);
		for (const id of task.after) {
			if (!all.has(id)) add(task, `waits for ${id}, which is not in the schedule`, `add ${id} or take the edge out`);
		}
		for (const { buffer } of [...task.reads, ...task.writes]) {
			if (!known.has(buffer)) add(task, `uses ${buffer}, which is no buffer of the schedule`, `declare ${buffer}`);
		}
	}
	if (known.size < buffers.length) {
		const message = "two buffers of the schedule have the same id";
		problems.push({ kind: "malformed", tasks: [], message, mend: "give each buffer its own id" });
	}
	return problems;
}

function describeCycle({ tasks }: Schedule, { stuck }: Order): Problem {
	const inCycle = new Set(stuck.map((index) => tasks[index]!.id));
	const first = tasks[stuck[0]!]!;
	const other = first.after.find((id) => inCycle.has(id)) ?? tasks[stuck[1] ?? stuck[0]!]!.id;
	const message = `${first.id} and ${other} wait for each other`;
	return {
		kind: "cycle",
		tasks: [first.id, other],
		message,
		mend: `take ${other} out of what ${first.id} waits for, or move one of them on its stream`,
	};
}

/** Two uses of a buffer, one of them a write, that no edge orders. */
function findUnordered({ tasks }: Schedule, { sequence, precedes }: Order): Problem[] {
	const problems: Problem[] = [];
	const uses = new Map<string, { write: number | undefined; reads: number[] }>();
	const require = (a: number, b: number, buffer: string): void => {
		if (a === b || precedes(a, b)) return;
		const [first, second] = [tasks[a]!.id, tasks[b]!.id];
		problems.push({
			kind: "unordered",
			tasks: [first, second],
			message: `${first} and ${second} both use ${buffer}, one writes it, and nothing orders them`,
			mend: `let ${second} wait for ${first}, or give it a buffer of its own`,
		});
	};
	for (const index of sequence) {
		const { reads, writes } = tasks[index]!;
		for (const { buffer } of reads) {
			const use = uses.get(buffer) ?? { write: undefined, reads: [] };
			uses.set(buffer, use);
			if (use.write !== undefined) require(use.write, index, buffer);
			use.reads.push(index);
		}
		for (const buffer of new Set(writes.map((access) => access.buffer))) {
			const use = uses.get(buffer) ?? { write: undefined, reads: [] };
			if (use.write !== undefined) require(use.write, index, buffer);
			for (const reader of use.reads) require(reader, index, buffer);
			uses.set(buffer, { write: index, reads: [] });
		}
	}
	return problems;
}

/** Runs the schedule on names of contents, in one order; where nothing is unordered, all orders agree with it. */
function replay({ tasks, buffers }: Schedule, { sequence }: Order, facts: ContentFacts): Problem[] {
	const problems: Problem[] = [];
	const holds = new Map<string, { content: string; by: string | undefined }>();
	for (const { id, initial } of buffers) if (initial !== undefined) holds.set(id, { content: initial, by: undefined });
	const writerOf = new Map<string, string>();
	for (const index of sequence) {
		const task = tasks[index]!;
		for (const { buffer, content: expected } of task.reads) {
			const held = holds.get(buffer);
			if (held?.content === expected) continue;
			const maker = writerOf.get(expected);
			const by = held?.by ?? "the start";
			problems.push({
				kind: held ? "wrong-content" : "read-before-write",
				tasks: [task.id, ...(held?.by ? [held.by] : maker ? [maker] : [])],
				message: held
					? `${task.id} expects ${expected} in ${buffer}, which holds ${held.content} since ${by}`
					: `${task.id} reads ${expected} from ${buffer} before anything is written there`,
				mend: maker
					? `let ${task.id} wait for ${maker}, and ${buffer} be written from it`
					: `add a task that writes ${expected} to ${buffer} before ${task.id}`,
			});
		}
		for (const { buffer, content: written } of task.writes) {
			const fault = contentFault(task, written, facts);
			if (fault) {
				problems.push({
					kind: "wrong-content",
					tasks: [task.id],
					message: `${task.id}: ${fault}`,
					mend: `let it read what it needs, or write ${written} by another task`,
				});
			}
			holds.set(buffer, { content: written, by: task.id });
			writerOf.set(written, task.id);
		}
	}
	for (const { id, final } of buffers) {
		const held = holds.get(id);
		if (final === undefined || held?.content === final) continue;
		const maker = writerOf.get(final);
		problems.push({
			kind: "lost-write-back",
			tasks: [maker, held?.by].filter((task) => task !== undefined),
			message: `at the end ${id} holds ${held?.content ?? "nothing"} (since ${held?.by ?? "the start"}) and not ${final}`,
			mend: maker ? `copy what ${maker} made back to ${id}` : `add a task that makes ${final}`,
		});
	}
	return problems;
}
