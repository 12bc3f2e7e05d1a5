// Plain columns ⇄ Arrow tables for training iterations and schedules: built and checked by a schema of
// `iteration-schema.ts`. A table that comes from a file is checked column by column before anything reads it.

import { readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import {
	type DataType,
	Dictionary,
	Field,
	Float64,
	Int32,
	List,
	makeData,
	RecordBatch,
	Schema,
	Struct,
	Table,
	tableFromIPC,
	tableToIPC,
	Utf8,
	vectorFromArray,
} from "apache-arrow";
import { OctavoError, received } from "../errors.js";
import { makeFolder } from "../make-folder.js";
import { refuseToWrite } from "./export.js";
import type { IterationColumn, IterationColumnType } from "./iteration-schema.js";

/** Columns of one table by name, as plain arrays of equal length. */
export type PlainColumns = Readonly<Record<string, readonly unknown[]>>;

/** Columns that a table must have. */
export type TableSchema = Readonly<Record<string, IterationColumn>>;

const metadataKey = "octavo";

function arrowType(type: IterationColumnType, index: number): DataType {
	if (type === "i32") return new Int32();
	if (type === "f64") return new Float64();
	if (type === "text") return new Dictionary(new Utf8(), new Int32(), index, false);
	return new List(new Field("item", new Utf8(), false));
}

function refuse(expected: string, came: unknown): never {
	throw new OctavoError("ERR_OCTAVO_TRACE", `Expected ${expected} but received ${received(came)}`);
}

function checkValue(where: string, { type, nullable }: IterationColumn, value: unknown): void {
	if (value === null && nullable) return;
	const valid =
		type === "i32"
			? Number.isInteger(value) && Math.abs(value as number) < 2 ** 31
			: type === "f64"
				? Number.isFinite(value)
				: type === "text"
					? typeof value === "string"
					: Array.isArray(value) && value.every((item) => typeof item === "string");
	const names = { i32: "a whole number", f64: "a finite number", text: "a string", "text[]": "an array of strings" };
	if (!valid) refuse(`${names[type]}${nullable ? " or null" : ""} in ${where}`, value);
}

/**
 * Makes an Arrow table.
 *
 * @param name of the table, for messages
 * @param metadata a JSON value that travels with the table under the key `octavo`
 * @throws {OctavoError} ERR_OCTAVO_TRACE for a column that is missing, unknown, of another length or of a wrong type
 */
export function tableFromColumns(name: string, schema: TableSchema, columns: PlainColumns, metadata?: unknown): Table {
	for (const given of Object.keys(columns)) {
		if (!Object.hasOwn(schema, given)) refuse(`columns of ${name} (${Object.keys(schema).join(", ")})`, given);
	}
	const length = columns[Object.keys(schema)[0]!]?.length ?? 0;
	const vectors = Object.entries(schema).map(([column, spec], index) => {
		const values = columns[column] ?? refuse(`column ${column} of ${name}`, undefined);
		if (values.length !== length) refuse(`${length} rows in column ${column} of ${name}`, values.length);
		for (const [row, value] of values.entries()) checkValue(`${column} of ${name}, row ${row},`, spec, value);
		return vectorFromArray(values, arrowType(spec.type, index));
	});
	const fields = Object.entries(schema).map(
		([column, { description, nullable }], index) =>
			new Field(column, vectors[index]!.type, nullable === true, new Map([["description", description]])),
	);
	const arrow = new Schema(fields, new Map(metadata === undefined ? [] : [[metadataKey, JSON.stringify(metadata)]]));
	if (length === 0) return new Table(arrow, []);
	const children = vectors.map((vector) => vector.data[0]!);
	const data = makeData({ type: new Struct(fields), length, nullCount: 0, children });
	return new Table(arrow, [new RecordBatch(arrow, data)]);
}

/**
 * Columns of a table as plain arrays.
 *
 * @param version of the schema that the table was made by: columns that came later are filled with null. Default: all are asked for
 * @throws {OctavoError} ERR_OCTAVO_TRACE for a column that is missing
 */
export function columnsFromTable(
	name: string,
	schema: TableSchema,
	table: Table,
	version = Number.POSITIVE_INFINITY,
): PlainColumns {
	return Object.fromEntries(
		Object.entries(schema).map(([column, { type, since = 1 }]) => {
			const vector = table.getChild(column);
			if (!vector && since > version) return [column, Array.from({ length: table.numRows }, () => null)];
			if (!vector) refuse(`column ${column} of ${name}`, undefined);
			const values = Array.from({ length: table.numRows }, (_, row): unknown => vector.get(row));
			const isList = type === "text[]";
			return [column, isList ? values.map((value) => Array.from((value ?? []) as Iterable<unknown>)) : values];
		}),
	);
}

/** The metadata of a table; undefined where it has none or it is no JSON. */
export function tableMetadata(table: Table): unknown {
	try {
		return JSON.parse(table.schema.metadata.get(metadataKey) ?? "null") ?? undefined;
	} catch {
		return undefined;
	}
}

/** Path of one table beside the first, which has the given path itself: `run.arrow`, `run.memory.arrow`. */
function pathOf(path: string, name: string, first: string): string {
	if (typeof path !== "string" || !path.endsWith(".arrow")) refuse("a path that ends in .arrow", path);
	return name === first ? path : `${path.slice(0, -".arrow".length)}.${name}.arrow`;
}

/**
 * Writes one Arrow IPC file a table; folders are made.
 *
 * @param path ends in `.arrow`; the first table goes there, the others beside it with their name before the ending
 * @returns the paths written
 * @throws {OctavoError} ERR_OCTAVO_TRACE for another ending, or a path that cannot be written to
 */
export async function writeTables(path: string, tables: Readonly<Record<string, Table>>): Promise<string[]> {
	const [first] = Object.keys(tables);
	const files = Object.entries(tables).map(([name, table]) => ({ file: pathOf(path, name, first!), table }));
	try {
		await makeFolder(dirname(path));
		for (const { file, table } of files) await writeFile(file, tableToIPC(table, "file"));
	} catch (error) {
		refuseToWrite(path, error as Error);
	}
	return files.map(({ file }) => file);
}

/**
 * Reads what `writeTables` wrote.
 *
 * @throws {OctavoError} ERR_OCTAVO_TRACE when a file is missing or no Arrow file
 */
export async function readTables<N extends string>(path: string, names: readonly N[]): Promise<Record<N, Table>> {
	const entries = names.map(async (name) => {
		const file = pathOf(path, name, names[0]!);
		try {
			return [name, tableFromIPC(await readFile(file))] as const;
		} catch (error) {
			const message = `Expected an Arrow file with table ${name} at ${file} but received: ${(error as Error).message}`;
			throw new OctavoError("ERR_OCTAVO_TRACE", message, { cause: error });
		}
	});
	return Object.fromEntries(await Promise.all(entries)) as Record<N, Table>;
}
