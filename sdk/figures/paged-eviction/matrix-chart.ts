// A matrix with named rows and columns, each value written in its cell, on a scale from 0 to 1.

import type { Figure } from "../../chart/figure.js";
import { escapeText, finish, round, scale } from "../../chart/theme.js";

/** One cell. */
export interface Cell {
	readonly row: string;
	readonly column: string;
	readonly value: number;
	/** Ends of its confidence interval, for hover texts and the caption. */
	readonly low: number;
	readonly high: number;
}

/** Texts of the chart. */
export interface MatrixText {
	readonly title: string;
	readonly caption: string;
	/** Name of the columns. */
	readonly x: string;
}

/** Draws the cells; rows and columns in the order in which they are first met. */
export function matrixChart(cells: readonly Cell[], { title, caption, x }: MatrixText): Figure {
	const rows = [...new Set(cells.map((cell) => cell.row))];
	const columns = [...new Set(cells.map((cell) => cell.column))];
	const cellAt = new Map(cells.map((cell) => [`${cell.row}\n${cell.column}`, cell]));
	const grid = rows.map((row) => columns.map((column) => cellAt.get(`${row}\n${column}`)));
	const widest = Math.max(...cells.map(({ value, low, high }) => Math.max(value - low, high - value)));
	const data = {
		type: "heatmap",
		z: grid.map((row) => row.map((cell) => (cell ? round(cell.value) : null))),
		text: grid.map((row) => row.map((cell) => (cell ? `${cell.low.toFixed(2)} to ${cell.high.toFixed(2)}` : ""))),
		x: columns,
		y: rows.map(escapeText),
		zmin: 0,
		zmax: 1,
		colorscale: scale,
		xgap: 2,
		ygap: 2,
		texttemplate: "%{z:.2f}",
		hovertemplate: "%{y}, %{x}: %{z:.2f}, 95 % interval %{text}<extra></extra>",
		colorbar: { thickness: 12, outlinewidth: 0 },
	};
	return finish([data], {
		title,
		caption: `${caption} 95 % bootstrap intervals over prompts, in the table, reach at most ${widest.toFixed(2)} to one side.`,
		plotHeight: 30 * rows.length + 20,
		layout: {
			xaxis: { title: { text: x, standoff: 6 }, type: "category", showgrid: false },
			yaxis: { type: "category", autorange: "reversed", showgrid: false, automargin: true },
		},
	});
}
