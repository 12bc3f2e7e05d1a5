// A matrix with named rows and columns, each value written in its cell, on a scale from 0 to 1.

import type { Figure } from "../../chart/figure.js";
import { escapeText, finish, round, scale } from "../../chart/theme.js";

/** One cell. */
export interface Cell {
	readonly row: string;
	readonly column: string;
	readonly value: number;
}

/** Texts of the chart. */
export interface MatrixText {
	readonly title: string;
	readonly caption: string;
	/** Name of the columns. */
	readonly x: string;
	/** How values are written, in d3's notation. */
	readonly format: string;
	/** Ends of the scale. Default 0 and 1. */
	readonly range?: readonly [number, number];
}

/** Draws the cells; rows and columns in the order in which they are first met. */
export function matrixChart(cells: readonly Cell[], { title, caption, x, format, range = [0, 1] }: MatrixText): Figure {
	const rows = [...new Set(cells.map((cell) => cell.row))];
	const columns = [...new Set(cells.map((cell) => cell.column))];
	const valueAt = new Map(cells.map((cell) => [`${cell.row}\n${cell.column}`, round(cell.value)]));
	const z = rows.map((row) => columns.map((column) => valueAt.get(`${row}\n${column}`) ?? null));
	const data = {
		type: "heatmap",
		z,
		x: columns,
		y: rows.map(escapeText),
		zmin: range[0],
		zmax: range[1],
		colorscale: scale,
		xgap: 2,
		ygap: 2,
		texttemplate: `%{z:${format}}`,
		hovertemplate: `%{y}, %{x}: %{z:${format}}<extra></extra>`,
		colorbar: { thickness: 12, outlinewidth: 0 },
	};
	return finish([data], {
		title,
		caption,
		plotHeight: 30 * rows.length + 20,
		layout: {
			xaxis: { title: { text: x, standoff: 6 }, type: "category", showgrid: false },
			yaxis: { type: "category", autorange: "reversed", showgrid: false, automargin: true },
		},
	});
}
