// Schedules as Arrow tables and files, and back: every field survives, so a schedule read from a file is checked,
// simulated and stepped through as the one that was written.

import { OctavoError, received } from "../errors.js";
import { scheduleSchema } from "../trace/iteration-schema.js";
import {
	columnsFromTable,
	readTables,
	tableFromColumns,
	tableMetadata,
	writeTables,
} from "../trace/iteration-tables.js";
import { checkConfiguration, type TrainingConfiguration } from "./schedule/configuration.js";
import type { Access, BufferPlan, Schedule, Task } from "./schedule/task.js";

/** The Arrow tables of a schedule. Planner and configuration are metadata of `tasks`. */
export interface ScheduleTables {
	/** A row a task. */
	readonly tasks: ReturnType<typeof tableFromColumns>;
	/** A row a buffer. */
	readonly buffers: ReturnType<typeof tableFromColumns>;
}

/**
 * A schedule as Arrow tables (columns: `scheduleSchema`).
 *
 * @throws {OctavoError} ERR_OCTAVO_TRACE for a task or buffer with a field of a wrong type
 */
export function scheduleToArrow({ planner, configuration, tasks, buffers }: Schedule): ScheduleTables {
	const uses = (accesses: readonly Access[]): string[] => accesses.map(({ buffer, content }) => `${buffer}=${content}`);
	const taskColumns = {
		task_id: tasks.map((task) => task.id),
		kind: tasks.map((task) => task.kind),
		phase: tasks.map((task) => task.phase),
		micro_step_index: tasks.map((task) => task.microStep),
		layer_index: tasks.map((task) => task.layer ?? null),
		subgroup_id: tasks.map((task) => task.subgroup ?? null),
		stream: tasks.map((task) => task.stream),
		resource: tasks.map((task) => task.resource),
		num_elements: tasks.map((task) => task.elements),
		size_bytes: tasks.map((task) => task.bytes),
		flops: tasks.map((task) => task.flops),
		reads: tasks.map((task) => uses(task.reads)),
		writes: tasks.map((task) => uses(task.writes)),
		after: tasks.map((task) => [...task.after]),
	};
	const bufferColumns = {
		buffer_id: buffers.map((buffer) => buffer.id),
		place: buffers.map((buffer) => buffer.place),
		size_bytes: buffers.map((buffer) => buffer.bytes),
		initial: buffers.map((buffer) => buffer.initial ?? null),
		final: buffers.map((buffer) => buffer.final ?? null),
	};
	return {
		tasks: tableFromColumns("tasks", scheduleSchema.tasks, taskColumns, { planner, configuration }),
		buffers: tableFromColumns("buffers", scheduleSchema.buffers, bufferColumns),
	};
}

/**
 * The schedule in Arrow tables. Whether it is a good one is for `checkSchedule` to say.
 *
 * @throws {OctavoError} ERR_OCTAVO_TRACE for a table without planner, configuration or a column;
 * ERR_OCTAVO_CONFIGURATION when the configuration is not valid
 */
export function scheduleFromArrow(tables: ScheduleTables): Schedule {
	const { planner, configuration } = (tableMetadata(tables.tasks) ?? {}) as Partial<Schedule>;
	if (typeof planner !== "string" || typeof configuration !== "object") {
		const message = `Expected planner and configuration in the metadata of tasks but received ${received(planner)}`;
		throw new OctavoError("ERR_OCTAVO_TRACE", message);
	}
	checkConfiguration(configuration as TrainingConfiguration);
	const rows = rowsOf(columnsFromTable("tasks", scheduleSchema.tasks, tables.tasks));
	const buffers = rowsOf(columnsFromTable("buffers", scheduleSchema.buffers, tables.buffers));
	return { planner, configuration, buffers: buffers.map(toBuffer), tasks: rows.map(toTask) };
}

/**
 * Writes a schedule: `tasks` to `path`, `buffers` beside it (`plan.arrow`, `plan.buffers.arrow`).
 *
 * @returns the paths written
 * @throws {OctavoError} ERR_OCTAVO_TRACE when the path does not end in `.arrow`
 */
export async function saveSchedule(schedule: Schedule, path: string): Promise<string[]> {
	return writeTables(path, { ...scheduleToArrow(schedule) });
}

/**
 * Reads a schedule written by `saveSchedule`.
 *
 * @throws {OctavoError} ERR_OCTAVO_TRACE when a file is missing or is no schedule; ERR_OCTAVO_CONFIGURATION
 */
export async function loadSchedule(path: string): Promise<Schedule> {
	return scheduleFromArrow(await readTables(path, ["tasks", "buffers"]));
}

type Row = Readonly<Record<string, unknown>>;

function rowsOf(columns: Readonly<Record<string, readonly unknown[]>>): Row[] {
	const names = Object.keys(columns);
	return columns[names[0]!]!.map((_, row) => Object.fromEntries(names.map((name) => [name, columns[name]![row]])));
}

function accesses(uses: unknown): Access[] {
	return (uses as string[]).map((use) => {
		const at = use.indexOf("=");
		if (at > 0) return { buffer: use.slice(0, at), content: use.slice(at + 1) };
		throw new OctavoError("ERR_OCTAVO_TRACE", `Expected buffer=content but received ${received(use)}`);
	});
}

function toTask(row: Row): Task {
	return {
		id: row.task_id as string,
		kind: row.kind as Task["kind"],
		phase: row.phase as Task["phase"],
		microStep: row.micro_step_index as number,
		...(row.layer_index === null ? {} : { layer: row.layer_index as number }),
		...(row.subgroup_id === null ? {} : { subgroup: row.subgroup_id as number }),
		stream: row.stream as string,
		resource: row.resource as Task["resource"],
		elements: row.num_elements as number,
		bytes: row.size_bytes as number,
		flops: row.flops as number,
		reads: accesses(row.reads),
		writes: accesses(row.writes),
		after: row.after as string[],
	};
}

function toBuffer(row: Row): BufferPlan {
	return {
		id: row.buffer_id as string,
		place: row.place as BufferPlan["place"],
		bytes: row.size_bytes as number,
		...(row.initial === null ? {} : { initial: row.initial as string }),
		...(row.final === null ? {} : { final: row.final as string }),
	};
}
