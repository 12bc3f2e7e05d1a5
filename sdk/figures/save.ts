// A figure's values as files: the table for scripts, rows and chart for whoever draws it another way.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeTables } from "../trace/iteration-tables.js";
import type { PaperFigure } from "./result.js";

/**
 * Writes `NAME.arrow` (the table) and `NAME.json` (title, rows and plotly chart). The folder is made.
 *
 * @returns the paths written
 */
export async function saveFigure(
	{ name, title, table, rows, chart }: PaperFigure<unknown>,
	folder: string,
): Promise<string[]> {
	await mkdir(folder, { recursive: true });
	const [arrow] = await writeTables(join(folder, `${name}.arrow`), { table });
	const json = join(folder, `${name}.json`);
	await writeFile(json, `${JSON.stringify({ title, rows, chart }, null, "\t")}\n`);
	return [arrow!, json];
}
