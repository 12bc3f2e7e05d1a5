// How Arrow's smaller things look in a notebook: a column, and a schema, as text.

import type { Schema, Vector } from "apache-arrow";
import { formatNumber } from "./number-format.js";

/** Values of a column that are shown. */
const maxValues = 20;

function formatValue(value: unknown): string {
	if (typeof value === "number") return formatNumber(value);
	if (value instanceof Date) return value.toISOString();
	return typeof value === "string" ? JSON.stringify(value) : String(value);
}

/** A column: its type, its length, its first values. */
export function vectorToText(vector: Vector): string {
	const values: string[] = [];
	for (let i = 0; i < Math.min(vector.length, maxValues); i++) values.push(formatValue(vector.get(i)));
	if (vector.length > maxValues) values.push("…");
	const nulls = vector.nullCount > 0 ? `, ${vector.nullCount} null` : "";
	return `Vector<${vector.type}>, ${vector.length} values${nulls}\n[${values.join(", ")}]`;
}

/** A schema: a line a column, with its description where it has one. */
export function schemaToText(schema: Schema): string {
	const width = Math.max(0, ...schema.fields.map(({ name }) => name.length));
	const lines = schema.fields.map(({ name, type, nullable, metadata }) => {
		const description = metadata.get("description");
		return `${name.padEnd(width)}  ${type}${nullable ? " | null" : ""}${description ? `  ${description}` : ""}`;
	});
	return [`Schema of ${lines.length} columns`, ...lines].join("\n");
}
