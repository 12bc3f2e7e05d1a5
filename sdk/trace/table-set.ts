// The tables of one record, by name: what a batch and a training iteration have in common.

import type { Table } from "apache-arrow";
import { OctavoError, received } from "../errors.js";
import { columnsFromTable, type PlainColumns, type TableSchema, writeTables } from "./iteration-tables.js";
import { installTableView } from "./table-view.js";

installTableView();

/** Tables by name, of which the first is saved to the given path itself. */
export class TableSet<Name extends string> {
	readonly #schema: Readonly<Record<Name, TableSchema>>;
	readonly #tables: Readonly<Record<Name, Table>>;

	protected constructor(schema: Readonly<Record<Name, TableSchema>>, tables: Readonly<Record<Name, Table>>) {
		this.#schema = schema;
		this.#tables = tables;
	}

	/**
	 * One table.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_TRACE for another name
	 */
	table(name: Name): Table {
		if (Object.hasOwn(this.#schema, name)) return this.#tables[name];
		const expected = `one of the tables ${Object.keys(this.#schema).join(", ")}`;
		throw new OctavoError("ERR_OCTAVO_TRACE", `Expected ${expected} but received ${received(name)}`);
	}

	/**
	 * The columns of a table as plain arrays, by name.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_TRACE for another name of a table
	 */
	columns(name: Name): PlainColumns {
		return columnsFromTable(name, this.#schema[name], this.table(name));
	}

	/**
	 * Writes one Arrow IPC file a table: the first to `path` itself, the others beside it (`run.memory.arrow`, …).
	 *
	 * @param path ends in `.arrow`
	 * @returns the paths written
	 * @throws {OctavoError} ERR_OCTAVO_TRACE for another ending
	 */
	async save(path: string): Promise<string[]> {
		return writeTables(path, this.#tables);
	}

	/** Names of the tables with how many rows each has, as text. */
	protected get rowCounts(): string {
		const names = Object.keys(this.#schema) as Name[];
		return names.map((name) => `${name}: ${this.#tables[name].numRows}`).join(", ");
	}
}
