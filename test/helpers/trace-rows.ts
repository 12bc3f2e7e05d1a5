// The rows of a trace as plain values that compare, but for wall times, which differ from run to run.

import type { Table } from "apache-arrow";
import { traceTableNames } from "../../sdk/trace/schema.js";
import type { Trace } from "../../sdk/trace/trace.js";

/**
 * All rows, by table and column.
 *
 * @param without columns to leave out, beside times. Default: none
 */
export function rowsOf(trace: Trace, without: readonly string[] = []): Record<string, unknown> {
	const plain = (value: unknown) =>
		typeof value === "object" && value !== null ? Array.from(value as number[]) : value;
	return Object.fromEntries(
		traceTableNames.map((name) => {
			const table = trace.table(name) as unknown as Table;
			const fields = table.schema.fields.filter((f) => !f.name.endsWith("_us") && !without.includes(f.name));
			return [name, fields.map((f) => [f.name, Array.from(table.getChild(f.name)!, plain)])];
		}),
	);
}
