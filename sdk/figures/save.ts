// A figure's values as files: the table for scripts, rows and chart for whoever draws it another way.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { OctavoError, received } from "../errors.js";
import { refuseToWrite } from "../trace/export.js";
import { writeTables } from "../trace/iteration-tables.js";
import type { PaperFigure } from "./result.js";

/**
 * Writes `NAME.arrow` (the table) and `NAME.json` (title, rows and plotly chart). The folder is made.
 *
 * @returns the paths written
 * @throws {OctavoError} ERR_OCTAVO_OPTION for what is no path, ERR_OCTAVO_TRACE for one that cannot be written to
 */
export async function saveFigure(
	{ name, title, table, rows, chart }: PaperFigure<unknown>,
	folder: string,
): Promise<string[]> {
	if (typeof folder !== "string" || folder === "") {
		const expected = "the path of a folder for the second argument of figures.saveFigure()";
		throw new OctavoError("ERR_OCTAVO_OPTION", `Expected ${expected} but received ${received(folder)}`);
	}
	const [arrow] = await writeTables(join(folder, `${name}.arrow`), { table });
	const json = join(folder, `${name}.json`);
	const text = `${JSON.stringify({ title, rows, chart }, null, "\t")}\n`;
	await writeFile(json, text).catch((error: Error) => refuseToWrite(json, error));
	return [arrow!, json];
}
