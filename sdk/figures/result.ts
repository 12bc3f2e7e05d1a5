// What each figure of a paper gives: one long table with simulated and published values side by side, and a chart of it.

import type { Figure } from "../chart/figure.js";
import { type PlainColumns, type TableSchema, tableFromColumns } from "../trace/iteration-tables.js";
import { installTableView } from "../trace/table-view.js";

installTableView();

/** One value of a figure. */
export interface FigureRow {
	/** Place on the x axis: `20B`, `k=2`. */
	readonly setting: string;
	/** Schedule: one of `scheduleNames`. */
	readonly schedule: string;
	/** What is told: `iteration`, `update`, `device busy`. */
	readonly quantity: string;
	/** Unit of the values: `s`, `GB/s`, `%`. */
	readonly unit: string;
	/** Our simulator's value; null where only a published one is there. */
	readonly simulated: number | null;
	/** The authors' value, as printed; null where they give none. */
	readonly published: number | null;
}

/** A figure of a paper, drawn again. */
export interface PaperFigure<Row = FigureRow> {
	/** Name of its files: `iteration-time`. */
	readonly name: string;
	/** Title of the chart. */
	readonly title: string;
	/** The rows as Arrow, a column a field. */
	readonly table: ReturnType<typeof tableFromColumns>;
	/** The rows as plain objects. */
	readonly rows: readonly Row[];
	/** The figure, to be shown. */
	readonly chart: Figure;
}

const schema = {
	setting: { type: "text", description: "Place on the x axis" },
	schedule: { type: "text", description: "Offload schedule" },
	quantity: { type: "text", description: "What the values are" },
	unit: { type: "text", description: "Unit of the values" },
	simulated: { type: "f64", nullable: true, description: "Octavo's simulator; null where there is none" },
	published: { type: "f64", nullable: true, description: "As the paper's authors published it; null where not" },
} as const;

/** Puts a figure together whose rows have columns of their own; the table has a column a field of the schema. */
export function figureOf<Row extends object>(
	name: string,
	tableSchema: TableSchema & Readonly<Record<keyof Row, unknown>>,
	rows: readonly Row[],
	chart: Figure,
): PaperFigure<Row> {
	const columns = Object.keys(tableSchema).map((column) => [column, rows.map((row) => row[column as keyof Row])]);
	const table = tableFromColumns(name, tableSchema, Object.fromEntries(columns) as PlainColumns);
	return { name, title: chart.title, table, rows, chart };
}

/** Puts a figure of simulated and published values together. */
export function paperFigure(name: string, rows: readonly FigureRow[], chart: Figure): PaperFigure {
	return figureOf(name, schema, rows, chart);
}
