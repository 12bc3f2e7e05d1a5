// Traces as files: one Arrow IPC file a table, since an Arrow file holds one table and every reader (pyarrow, polars,
// DuckDB, another apache-arrow) then opens each directly. Record batches are written as views, without joining them.

import { createWriteStream } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { RecordBatchFileWriter, type Table, tableFromIPC } from "apache-arrow";
import { OctavoError, received } from "../errors.js";
import { type TraceTableName, traceTableNames } from "./schema.js";

/** Path of one table of a trace saved at `path`. */
export function tablePath(path: string, name: TraceTableName): string {
	if (typeof path !== "string" || !path.endsWith(".arrow")) {
		throw new OctavoError("ERR_OCTAVO_TRACE", `Expected a path that ends in .arrow but received ${received(path)}`);
	}
	return name === "steps" ? path : `${path.slice(0, -".arrow".length)}.${name}.arrow`;
}

/** Writes the tables; resolves to the paths written. */
export async function saveTables(path: string, tables: Record<TraceTableName, Table>): Promise<string[]> {
	const paths = traceTableNames.map((name) => tablePath(path, name));
	await mkdir(dirname(path), { recursive: true });
	for (const [i, name] of traceTableNames.entries()) {
		const chunks = RecordBatchFileWriter.writeAll(tables[name]) as unknown as AsyncIterable<Uint8Array>;
		await pipeline(Readable.from(chunks), createWriteStream(paths[i]!));
	}
	return paths;
}

/** Reads the tables of a trace. */
export async function loadTables(path: string): Promise<Record<TraceTableName, Table>> {
	const entries = await Promise.all(
		traceTableNames.map(async (name) => {
			const file = tablePath(path, name);
			try {
				return [name, tableFromIPC(await readFile(file))];
			} catch (error) {
				const reason = (error as Error).message;
				throw new OctavoError(
					"ERR_OCTAVO_TRACE",
					`Expected an Arrow file with table ${name} at ${file} but received: ${reason}`,
					{ cause: error },
				);
			}
		}),
	);
	return Object.fromEntries(entries) as Record<TraceTableName, Table>;
}
