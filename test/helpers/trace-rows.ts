// The rows of a session's trace as plain values that compare, but for wall times and what depends on who else uses the pools.

import type { Table } from "apache-arrow";
import type { SessionView } from "../../sdk/decode/session-view.js";
import { traceTableNames } from "../../sdk/trace/schema.js";

/**
 * All rows, by table and column.
 *
 * @param without columns to leave out, beside times. Default: ids of blocks and counts of free ones
 */
export function rowsOf({ trace }: SessionView, without: readonly string[] = ["block_id", "num_free_blocks"]): unknown {
	const plain = (value: unknown) =>
		typeof value === "object" && value !== null ? Array.from(value as number[]) : value;
	return traceTableNames.map((name) => {
		const table = trace.table(name) as unknown as Table;
		const fields = table.schema.fields.filter((f) => !f.name.endsWith("_us") && !without.includes(f.name));
		return fields.map((f) => [f.name, Array.from(table.getChild(f.name)!, plain)]);
	});
}
