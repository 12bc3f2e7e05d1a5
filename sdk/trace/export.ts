// Traces as files: one Arrow IPC file a table, since an Arrow file holds one table and every Arrow library (and polars)
// then opens each by itself. Record batches are written as views, without joining them.

import { createWriteStream, existsSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { RecordBatchFileWriter, type Table, tableFromIPC } from "apache-arrow";
import { OctavoError, received } from "../errors.js";
import { makeFolder } from "../make-folder.js";
import { type TraceTableName, traceTableNames } from "./schema.js";

/** Path of one table of a trace saved at `path`. */
function tablePath(path: string, name: TraceTableName): string {
	if (typeof path !== "string" || !path.endsWith(".arrow")) {
		throw new OctavoError("ERR_OCTAVO_TRACE", `Expected a path that ends in .arrow but received ${received(path)}`);
	}
	return name === "steps" ? path : `${path.slice(0, -".arrow".length)}.${name}.arrow`;
}

/** Written only where it has rows, as most runs do not record it. */
const optionalTable: TraceTableName = "logits";

/**
 * Writes the tables; resolves to the paths written.
 *
 * @throws {OctavoError} ERR_OCTAVO_TRACE for a path that does not end in .arrow or cannot be written to
 */
export async function saveTables(path: string, tables: Record<TraceTableName, Table>): Promise<string[]> {
	tablePath(path, "steps");
	return writeFiles(path, tables).catch((error: Error) => refuseToWrite(path, error));
}

/** @throws {OctavoError} ERR_OCTAVO_TRACE for files that could not be written */
export function refuseToWrite(path: string, error: Error): never {
	const message = `Expected a path that can be written to but received ${received(path)}: ${error.message}`;
	throw new OctavoError("ERR_OCTAVO_TRACE", message, { cause: error });
}

async function writeFiles(path: string, tables: Record<TraceTableName, Table>): Promise<string[]> {
	const paths: string[] = [];
	await makeFolder(dirname(path));
	for (const name of traceTableNames) {
		const file = tablePath(path, name);
		if (name === optionalTable && tables[name].numRows === 0) {
			await rm(file, { force: true }); // an earlier run's would be taken for this one's
			continue;
		}
		const chunks = RecordBatchFileWriter.writeAll(tables[name]) as unknown as AsyncIterable<Uint8Array>;
		await pipeline(Readable.from(chunks), createWriteStream(file));
		paths.push(file);
	}
	return paths;
}

/** Tables of a saved trace; `logits` may be absent. */
export type LoadedTables = Record<Exclude<TraceTableName, "logits">, Table> & { logits?: Table };

/** Reads the tables of a trace. */
export async function loadTables(path: string): Promise<LoadedTables> {
	const names = traceTableNames.filter((name) => name !== optionalTable || existsSync(tablePath(path, name)));
	const entries: [string, Table][] = [];
	// One after the other: of several that cannot be read, the error always names the first.
	for (const name of names) {
		const file = tablePath(path, name);
		try {
			entries.push([name, tableFromIPC(await readFile(file))]);
		} catch (error) {
			const reason = (error as Error).message;
			throw new OctavoError(
				"ERR_OCTAVO_TRACE",
				`Expected an Arrow file with table ${name} at ${file} but received: ${reason}`,
				{ cause: error },
			);
		}
	}
	return Object.fromEntries(entries) as LoadedTables;
}
