// Columns as typed arrays ⇄ Arrow record batches. Numbers and lists become Arrow vectors over the same memory; only
// booleans are copied, since Arrow packs them into bits.

import {
	type Data,
	type DataType,
	type Field,
	makeData,
	makeVector,
	RecordBatch,
	type Schema,
	Struct,
	Utf8,
	type Vector,
} from "apache-arrow";
import type { NativeColumns } from "../../native/addon.js";
import { OctavoError, received } from "../errors.js";
import { columnsOf } from "./arrow-schema.js";
import type { TraceTableName } from "./schema.js";

/** One column before it is an Arrow vector: flat, or a list column as offsets and values. */
export type Column = NativeColumns[string];

type TypedArray = Extract<Column, ArrayBufferView>;

/** Rows of a table given as columns. */
export function countRows(name: TraceTableName, columns: NativeColumns): number {
	const first = columns[columnsOf(name)[0]![0]];
	return first === undefined ? 0 : columnLength(first);
}

function columnLength(column: Column): number {
	return "offsets" in column ? column.offsets.length - 1 : column.length;
}

function concatArrays<T extends TypedArray>(arrays: T[]): T {
	const length = arrays.reduce((sum, array) => sum + array.length, 0);
	const result = new (arrays[0]!.constructor as new (length: number) => T)(length);
	let at = 0;
	for (const array of arrays) {
		result.set(array as never, at);
		at += array.length;
	}
	return result;
}

/** Joins several runs of rows into one, by copying. */
export function concatColumns(name: TraceTableName, parts: NativeColumns[]): NativeColumns {
	if (parts.length === 1) return parts[0]!;
	const result: NativeColumns = {};
	for (const [column] of columnsOf(name)) {
		const pieces = parts.map((part) => part[column]!);
		if (!("offsets" in pieces[0]!)) {
			result[column] = concatArrays(pieces as TypedArray[]);
			continue;
		}
		const lists = pieces as Extract<Column, { offsets: Int32Array }>[];
		const offsets = new Int32Array(lists.reduce((sum, list) => sum + list.offsets.length - 1, 1));
		let row = 0;
		let base = 0;
		for (const list of lists) {
			const first = list.offsets[0]!;
			for (let i = 1; i < list.offsets.length; i++) offsets[++row] = base + list.offsets[i]! - first;
			base = offsets[row]!;
		}
		const values = concatArrays<Int32Array | Float32Array>(
			lists.map((list) => list.values.subarray(list.offsets[0]!, list.offsets.at(-1)!)),
		);
		result[column] = { offsets, values };
	}
	return result;
}

/** The first rows of a table given as columns, over the same memory. */
export function firstRows(name: TraceTableName, columns: NativeColumns, numRows: number): NativeColumns {
	const first = (column: Column): Column =>
		"offsets" in column
			? {
					offsets: column.offsets.subarray(0, numRows + 1),
					values: column.values.subarray(0, column.offsets[numRows]),
				}
			: column.subarray(0, numRows);
	return Object.fromEntries(columnsOf(name).map(([column]) => [column, first(columns[column]!)]));
}

function packBits(bytes: Uint8Array): Uint8Array {
	const packed = new Uint8Array((bytes.length + 7) >> 3);
	for (let i = 0; i < bytes.length; i++) if (bytes[i]) packed[i >> 3]! |= 1 << (i & 7);
	return packed;
}

const dictionaries = new Map<string, Vector<Utf8>>();

// One vector for each list of names: batches that share it need no dictionary of their own in a file.
function dictionaryOf(values: readonly string[]): Vector<Utf8> {
	const key = values.join("\0");
	let vector = dictionaries.get(key);
	if (!vector) {
		const encoded = values.map((value) => new TextEncoder().encode(value));
		const offsets = new Int32Array(values.length + 1);
		encoded.forEach((bytes, i) => {
			offsets[i + 1] = offsets[i]! + bytes.length;
		});
		const data = concatArrays(encoded);
		vector = makeVector(
			makeData({ type: new Utf8(), length: values.length, nullCount: 0, valueOffsets: offsets, data }),
		);
		dictionaries.set(key, vector);
	}
	return vector;
}

/** Makes one record batch of a table's columns; `schema` comes from `arrowSchema(name)`. */
export function toRecordBatch(name: TraceTableName, schema: Schema, columns: NativeColumns): RecordBatch {
	const length = countRows(name, columns);
	const children = columnsOf(name).map(([columnName, { type, values }], i): Data => {
		const column = columns[columnName];
		if (!column || columnLength(column) !== length) {
			const came = column ? `${columnLength(column)} rows` : "none";
			throw new OctavoError(
				"ERR_OCTAVO_TRACE",
				`Expected ${length} rows in column ${columnName} of ${name} but received ${came}`,
			);
		}
		const arrowType = schema.fields[i]!.type;
		if ("offsets" in column) {
			const item = (arrowType as DataType & { children: Field[] }).children[0]!;
			const child = makeData({
				type: item.type,
				length: column.values.length,
				nullCount: 0,
				data: column.values,
			} as never);
			return makeData({ type: arrowType, length, nullCount: 0, valueOffsets: column.offsets, child } as never);
		}
		const data = type === "bool" ? packBits(column as Uint8Array) : column;
		const dictionary = values ? dictionaryOf(values) : undefined;
		return makeData({ type: arrowType, length, nullCount: 0, data, dictionary } as never);
	});
	return new RecordBatch(schema, makeData({ type: new Struct(schema.fields), length, nullCount: 0, children }));
}

const arrayTypes = { i32: Int32Array, f32: Float32Array, f64: Float64Array, bool: Uint8Array, text: Uint8Array };

/**
 * Makes columns of a table from plain arrays, for traces written by hand.
 *
 * @throws {OctavoError} ERR_OCTAVO_TRACE for a column that is missing, unknown, of another length or of a wrong type
 */
export function columnsFromArrays(name: TraceTableName, arrays: Record<string, readonly unknown[]>): NativeColumns {
	const expected = columnsOf(name);
	for (const given of Object.keys(arrays)) {
		if (expected.some(([column]) => column === given)) continue;
		throw new OctavoError(
			"ERR_OCTAVO_TRACE",
			`Expected columns of ${name} (${expected.map(([column]) => column).join(", ")}) but received ${given}`,
		);
	}
	const result: NativeColumns = {};
	for (const [column, { type, values }] of expected) {
		const rows = arrays[column];
		if (!rows) throw new OctavoError("ERR_OCTAVO_TRACE", `Expected column ${column} of ${name} but received none`);
		if (type === "i32[]" || type === "f32[]") {
			const lists = rows as ArrayLike<number>[];
			const offsets = new Int32Array(lists.length + 1);
			lists.forEach((list, i) => {
				offsets[i + 1] = offsets[i]! + list.length;
			});
			const flat = lists.flatMap((list) => Array.from(list));
			result[column] = { offsets, values: type === "i32[]" ? Int32Array.from(flat) : Float32Array.from(flat) };
			continue;
		}
		const numbers = rows.map((value) => {
			if (!values) return Number(value);
			const code = values.indexOf(value as string);
			if (code >= 0) return code;
			const names = values.join(", ");
			throw new OctavoError(
				"ERR_OCTAVO_TRACE",
				`Expected one of ${names} for ${column} but received ${received(value)}`,
			);
		});
		result[column] = arrayTypes[type].from(numbers);
	}
	return result;
}
