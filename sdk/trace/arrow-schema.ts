// The trace's schema in Arrow's terms: types, fields with their descriptions, and the metadata of a run. Metadata travels
// as one JSON value under the key "octavo": typed, and no extension types, which some readers refuse.

import {
	Bool,
	type DataType,
	Dictionary,
	Field,
	Float32,
	Float64,
	Int32,
	List,
	Schema,
	Uint8,
	Utf8,
} from "apache-arrow";
import { type ColumnSchema, type ColumnType, type TraceTableName, traceSchema, traceTableNames } from "./schema.js";

/** Arrow type of a column by its type in the trace schema. */
export type ArrowTypeOf<T extends ColumnType> = T extends "i32"
	? Int32
	: T extends "f32"
		? Float32
		: T extends "f64"
			? Float64
			: T extends "bool"
				? Bool
				: T extends "text"
					? Dictionary<Utf8, Uint8>
					: T extends "i32[]"
						? List<Int32>
						: List<Float32>;

/** Columns of a trace table with their Arrow types: the parameter of its `Table`. */
export type TraceTypes<N extends TraceTableName> = {
	[C in keyof (typeof traceSchema)[N] & string]: (typeof traceSchema)[N][C] extends { type: infer T extends ColumnType }
		? ArrowTypeOf<T>
		: never;
};

/** What a trace says about the run it records. */
export interface TraceMetadata {
	/** Version of octavo that recorded it. */
	version: string;
	/** ISO 8601 date and time at which the session began. */
	created: string;
	/** Name of the model: its preset or folder. */
	model: string;
	/** Name of the eviction policy. */
	policy: string;
	/** Options of the policy as the engine got them, `budget` among them. */
	policyOptions: Record<string, string | number | boolean | readonly (number | string)[]>;
	/** Slots per block. */
	blockSize: number;
	/** Physical blocks in each layer's pool. */
	numBlocks: number;
	/** Layers of the model. */
	numLayers: number;
	/** Seed of the session. */
	seed: number;
	/** What computed it, for captions: instruction set, GEMM and threads. */
	engine: string;
}

const metadataKey = "octavo";

const columns = new Map(
	traceTableNames.map((name) => [name, Object.entries(traceSchema[name] as Record<string, ColumnSchema>)]),
);

/** Names and descriptions of a table's columns, in order. */
export function columnsOf(name: TraceTableName): readonly [string, ColumnSchema][] {
	return columns.get(name)!;
}

const types: Record<Exclude<ColumnType, "text">, DataType> = {
	i32: new Int32(),
	f32: new Float32(),
	f64: new Float64(),
	bool: new Bool(),
	"i32[]": new List(new Field("item", new Int32(), false)),
	"f32[]": new List(new Field("item", new Float32(), false)),
};

// A dictionary's id must be unique in a file, and equal in every batch of it: made once for each column.
const fields = Object.fromEntries(
	traceTableNames.map((name) => [
		name,
		columnsOf(name).map(([column, { type, description }], index) => {
			const arrowType = type === "text" ? new Dictionary(new Utf8(), new Uint8(), index, false) : types[type];
			return new Field(column, arrowType, false, new Map([["description", description]]));
		}),
	]),
) as Record<TraceTableName, Field[]>;

/** Arrow schema of a table, with the run's metadata if there is any. */
export function arrowSchema(name: TraceTableName, metadata?: Partial<TraceMetadata>): Schema {
	return new Schema(fields[name], new Map(metadata ? [[metadataKey, JSON.stringify(metadata)]] : []));
}

/** The run's metadata in an Arrow schema; empty where it has none. */
export function metadataOf(schema: Schema): Partial<TraceMetadata> {
	const text = schema.metadata.get(metadataKey);
	if (text === undefined) return {};
	try {
		const value: unknown = JSON.parse(text);
		return typeof value === "object" && value !== null ? value : {};
	} catch {
		return {};
	}
}
