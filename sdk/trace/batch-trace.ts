// The record of a batch as Arrow tables: who came, waited and ended, and what each step took. Each sequence also has the
// trace of a session.

import type { Table } from "apache-arrow";
import { type BatchTableName, batchSchema, batchSchemaVersion, batchTableNames } from "./batch-schema.js";
import { summarize } from "./batch-summary.js";
import { checkMetadata } from "./check-metadata.js";
import {
	columnsFromTable,
	type PlainColumns,
	readTables,
	tableFromColumns,
	tableMetadata,
} from "./iteration-tables.js";
import { TableSet } from "./table-set.js";

/** What a batch's trace says about its run, for captions. */
export interface BatchMetadata {
	/** Version of octavo that recorded it. */
	readonly version: string;
	/** Name of the model. */
	readonly model: string;
	/** What computed it: instruction set, GEMM and threads. */
	readonly engine: string;
	/** Slots per block. */
	readonly blockSize: number;
	/** Physical blocks in each layer's pool. */
	readonly numBlocks: number;
	/** Sequences that run at once, at most. */
	readonly maxSequences: number;
}

const metadataFields = {
	version: "text",
	model: "text",
	engine: "text",
	blockSize: "number",
	numBlocks: "number",
	maxSequences: "number",
} as const satisfies Record<keyof BatchMetadata, string>;

/** A table of a batch's trace. */
export type BatchTable = Table;

/** The tables that a batch records; `summary` follows from them. */
export type BatchColumns = Readonly<Record<"requests" | "throughput", PlainColumns>>;

/**
 * The record of a batch: tables `requests` (a row a sequence), `throughput` (a row a step) and `summary` (one row); their
 * columns: `batchSchema`. Saved, `requests` goes to the given path itself.
 *
 * @example
 * ```ts
 * import { chart, loadModel, policies, tasks } from "octavo";
 * const model = await loadModel();
 * using batch = model.batch({ numBlocks: 64, policy: policies.pagedEviction({ budget: 64 }) });
 * for (let seed = 1; seed <= 8; seed++) batch.add(tasks.recall({ seed }).context, { maxTokens: 16, endTokens: [] });
 * await batch.run();
 * const { num_finished, num_output_tokens } = batch.summary.get(0)!;
 * console.log(num_finished, num_output_tokens, chart.occupancy(batch.trace).title.length > 0);   // 8 128 true
 * ```
 */
export class BatchTrace extends TableSet<BatchTableName> {
	/** What was run. */
	readonly metadata: BatchMetadata;

	private constructor(tables: Readonly<Record<BatchTableName, Table>>, metadata: BatchMetadata) {
		super(batchSchema, tables);
		this.metadata = metadata;
	}

	/**
	 * Makes a trace from plain columns.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_TRACE for columns that do not fit `batchSchema`, or metadata that lacks a field
	 */
	static from(columns: BatchColumns, metadata: BatchMetadata): BatchTrace {
		checkMetadata(metadata, metadataFields);
		const stated = { ...metadata, schemaVersion: batchSchemaVersion };
		const make = (name: BatchTableName, given: PlainColumns) =>
			tableFromColumns(name, batchSchema[name], given, stated);
		const requests = make("requests", columns.requests);
		const throughput = make("throughput", columns.throughput);
		const summary = make("summary", summarize(columns));
		return new BatchTrace({ requests, throughput, summary }, metadata);
	}

	/**
	 * Reads a trace written by `save`, also by an earlier version: columns that it did not have yet hold null.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_TRACE when a file is missing, is no Arrow file or lacks a column
	 */
	static async load(path: string): Promise<BatchTrace> {
		const tables = await readTables(path, batchTableNames);
		const read = (name: "requests" | "throughput") => {
			const metadata = tableMetadata(tables[name]) as { schemaVersion?: unknown } | undefined;
			const version = typeof metadata?.schemaVersion === "number" ? metadata.schemaVersion : 1;
			return columnsFromTable(name, batchSchema[name], tables[name], version);
		};
		const columns = { requests: read("requests"), throughput: read("throughput") };
		const { schemaVersion: _, ...metadata } = (tableMetadata(tables.requests) ?? {}) as Record<string, unknown>;
		return BatchTrace.from(columns, metadata as unknown as BatchMetadata);
	}

	/** Shows what was run and how many rows each table has. */
	[Symbol.for("Jupyter.display")](): Record<string, string> {
		const { model, blockSize, numBlocks } = this.metadata;
		return { "text/plain": `Batch on ${model}, ${numBlocks} blocks of ${blockSize} a layer (rows: ${this.rowCounts})` };
	}
}
