// The record of a run as Arrow tables. A trace of a running session is live: each `table()` call shows the rows up to
// now; tables already handed out do not change.

import { makeData, RecordBatch, Struct, Table } from "apache-arrow";
import { OctavoError, received } from "../errors.js";
import { arrowSchema, columnsOf, metadataOf, type TraceMetadata, type TraceTypes } from "./arrow-schema.js";
import { columnsFromArrays, toRecordBatch } from "./batches.js";
import { loadTables, saveTables } from "./export.js";
import { type TraceTableName, traceTableNames } from "./schema.js";
import { installTableView } from "./table-view.js";

installTableView();

/** Where a trace gets its tables from: a recorder, or tables at rest. */
export interface TraceSource {
	readonly metadata: Partial<TraceMetadata>;
	table(name: TraceTableName): Table;
}

/** Tables for `Trace.from`: Arrow tables, or arrays by column name. A table left out is empty. */
export type TraceTables = Partial<Record<TraceTableName, Table | Record<string, readonly unknown[]>>>;

/**
 * The record of a run: tables `steps`, `blocks`, `evictions`, `memory` and, on option, `logits` (columns: `traceSchema`),
 * and what was run.
 *
 * @example
 * ```ts
 * import { mkdtemp, rm } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 * import { join } from "node:path";
 * import { loadModel, policies, tasks, Trace } from "octavo";
 * const model = await loadModel();
 * const session = model.session({ policy: policies.pagedEviction({ budget: 48 }), seed: 7 });
 * await session.prefill(tasks.recall({ seed: 1, contextLength: 60 }).context);
 * await session.run({ maxTokens: 20 });
 * const folder = await mkdtemp(join(tmpdir(), "octavo-"));
 * await session.trace.save(join(folder, "run.arrow"));
 * const trace = await Trace.load(join(folder, "run.arrow"));
 * console.log(trace.table("evictions").numRows, trace.metadata.policy);   // 8 paged-eviction
 * await rm(folder, { recursive: true });
 * ```
 */
export class Trace {
	readonly #source: TraceSource;

	/** Made by a session, `Trace.from` or `Trace.load`. */
	constructor(source: TraceSource) {
		this.#source = source;
	}

	/** What was run; entries that the writer of the trace did not know are absent. */
	get metadata(): Partial<TraceMetadata> {
		return this.#source.metadata;
	}

	/**
	 * One table, with the rows up to now.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_TRACE for another name
	 */
	table<N extends TraceTableName>(name: N): Table<TraceTypes<N>> {
		if (!traceTableNames.includes(name)) {
			throw new OctavoError(
				"ERR_OCTAVO_TRACE",
				`Expected one of the tables ${traceTableNames.join(", ")} but received ${received(name)}`,
			);
		}
		return this.#source.table(name) as unknown as Table<TraceTypes<N>>;
	}

	/**
	 * Makes a trace from tables or plain columns.
	 *
	 * @param tables columns named and typed as in `traceSchema`; a table left out is empty
	 * @throws {OctavoError} ERR_OCTAVO_TRACE for a table or column that does not fit the schema
	 */
	static from(tables: TraceTables, metadata: Partial<TraceMetadata> = {}): Trace {
		for (const given of Object.keys(tables)) {
			if (traceTableNames.includes(given as TraceTableName)) continue;
			throw new OctavoError(
				"ERR_OCTAVO_TRACE",
				`Expected tables ${traceTableNames.join(", ")} but received ${received(given)}`,
			);
		}
		const built = new Map(traceTableNames.map((name) => [name, buildTable(name, tables[name], metadata)]));
		return new Trace({ metadata, table: (name) => built.get(name)! });
	}

	/**
	 * Reads a trace written by `save`.
	 *
	 * @param path the file given to `save`; its companions lie beside it
	 * @throws {OctavoError} ERR_OCTAVO_TRACE when a file is missing, is no Arrow file or lacks a column
	 */
	static async load(path: string): Promise<Trace> {
		const tables = await loadTables(path);
		return Trace.from(tables, metadataOf(tables.steps.schema));
	}

	/**
	 * Writes one Arrow IPC file a table: `steps` to `path` itself, the others beside it with the table's name before
	 * the ending (`run.arrow`, `run.blocks.arrow`, `run.evictions.arrow`, `run.memory.arrow`, and
	 * `run.logits.arrow` where they were recorded). Folders are made.
	 *
	 * @param path ends in `.arrow`
	 * @returns the paths written
	 * @throws {OctavoError} ERR_OCTAVO_TRACE for another ending
	 */
	async save(path: string): Promise<string[]> {
		const { metadata } = this;
		const tables = Object.fromEntries(
			traceTableNames.map((name) => [name, new Table(arrowSchema(name, metadata), this.#source.table(name).batches)]),
		);
		return saveTables(path, tables as Record<TraceTableName, Table>);
	}

	/** Shows what was run and how many rows each table has. */
	[Symbol.for("Jupyter.display")](): Record<string, string> {
		const { model, policy, blockSize } = this.metadata;
		const rows = traceTableNames.map((name) => `${name}: ${this.#source.table(name).numRows} rows`).join(", ");
		const what = model ? ` of ${model}, policy ${policy}, blocks of ${blockSize}` : "";
		return { "text/plain": `Trace${what} (${rows})` };
	}
}

function buildTable(
	name: TraceTableName,
	given: Table | Record<string, readonly unknown[]> | undefined,
	metadata: Partial<TraceMetadata>,
): Table {
	const schema = arrowSchema(name, metadata);
	if (given === undefined) return new Table(schema, []);
	if (!(given instanceof Table))
		return new Table(schema, [toRecordBatch(name, schema, columnsFromArrays(name, given))]);
	for (const [i, [column]] of columnsOf(name).entries()) {
		const field = given.schema.fields[i];
		const expected = schema.fields[i]!;
		if (field?.name === column && String(field.type) === String(expected.type)) continue;
		const came = field ? `${field.name}: ${field.type}` : "none";
		throw new OctavoError(
			"ERR_OCTAVO_TRACE",
			`Expected column ${column}: ${expected.type} in ${name} but received ${came}`,
		);
	}
	// Fields of a file are not those of our schema to Arrow, though equal in name and type: bind the data to ours.
	// A file without rows reads as one batch without buffers.
	const filledBatches = given.batches.filter((batch) => batch.numRows > 0);
	const batches = filledBatches.map((batch) => {
		const children = schema.fields.map((field, i) => batch.data.children[i]!.clone(field.type));
		const { numRows: length } = batch;
		return new RecordBatch(schema, makeData({ type: new Struct(schema.fields), length, nullCount: 0, children }));
	});
	return new Table(schema, batches);
}
