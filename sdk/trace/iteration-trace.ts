// The record of one training iteration as Arrow tables, simulated or run. Charts read it and nothing else, so a figure
// is drawn again from saved files with no simulator.

import type { Table } from "apache-arrow";
import { checkMetadata } from "./check-metadata.js";
import { type IterationTableName, iterationSchema, iterationTableNames } from "./iteration-schema.js";
import {
	columnsFromTable,
	type PlainColumns,
	readTables,
	tableFromColumns,
	tableMetadata,
} from "./iteration-tables.js";
import { TableSet } from "./table-set.js";

/** What an iteration's trace says about its run, for captions. */
export interface IterationMetadata {
	/** Who wrote the schedule: `zero-offload-async`, `octavo`. */
	readonly planner: string;
	/** Name of the hardware profile, or of the machine for a real run. */
	readonly profile: string;
	/** What that is, in words. */
	readonly hardware: string;
	/** How the times came about. */
	readonly origin: "simulated" | "measured";
	/** Length of the iteration in microseconds. */
	readonly iterationUs: number;
	/** Memory of one device and of the node's host, in bytes. */
	readonly deviceBytes: number;
	/** Host memory of a node in bytes. */
	readonly hostBytes: number;
	/** Ranks that share the host. */
	readonly numRanks: number;
}

const metadataFields = {
	planner: "text",
	profile: "text",
	hardware: "text",
	origin: "text",
	iterationUs: "number",
	deviceBytes: "number",
	hostBytes: "number",
	numRanks: "number",
} as const satisfies Record<keyof IterationMetadata, string>;

/** Columns of all tables of an iteration's trace. */
export type IterationColumns = Readonly<Record<IterationTableName, PlainColumns>>;

/**
 * The record of one iteration of one rank: tables `tasks`, `memory`, `residency`, `utilisation` and `phases` (columns:
 * `iterationSchema`), and what was run. Saved, `tasks` goes to the given path itself.
 *
 * @example
 * ```ts
 * import { hardware, schedules } from "octavo";
 * const configuration = schedules.publishedConfiguration("7B");
 * const { trace } = hardware.simulateIteration(schedules.zeroOffloadAsync(configuration), hardware.profileByName("h100-4x"));
 * console.log(trace.table("residency").numRows === configuration.subgroupNumels.length);   // true
 * ```
 */
export class IterationTrace extends TableSet<IterationTableName> {
	/** What was run. */
	readonly metadata: IterationMetadata;

	private constructor(tables: Readonly<Record<IterationTableName, Table>>, metadata: IterationMetadata) {
		super(iterationSchema, tables);
		this.metadata = metadata;
	}

	/**
	 * Makes a trace from plain columns.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_TRACE for columns that do not fit `iterationSchema`, or metadata that lacks a field
	 */
	static from(columns: IterationColumns, metadata: IterationMetadata): IterationTrace {
		checkMetadata(metadata, metadataFields);
		const tables = iterationTableNames.map((name) => [
			name,
			tableFromColumns(name, iterationSchema[name], columns[name], metadata),
		]);
		return new IterationTrace(Object.fromEntries(tables), metadata);
	}

	/**
	 * Reads a trace written by `save`.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_TRACE when a file is missing, is no Arrow file or lacks a column
	 */
	static async load(path: string): Promise<IterationTrace> {
		const tables = await readTables(path, iterationTableNames);
		const columns = iterationTableNames.map((name) => [
			name,
			columnsFromTable(name, iterationSchema[name], tables[name]),
		]);
		return IterationTrace.from(
			Object.fromEntries(columns) as IterationColumns,
			tableMetadata(tables.tasks) as IterationMetadata,
		);
	}

	/** Shows what was run and how many rows each table has. */
	[Symbol.for("Jupyter.display")](): Record<string, string> {
		const { planner, profile, origin, iterationUs } = this.metadata;
		const text = `Iteration of ${planner}, ${origin} on ${profile}: ${(iterationUs / 1e3).toFixed(1)} ms (rows: ${this.rowCounts})`;
		return { "text/plain": text };
	}
}
