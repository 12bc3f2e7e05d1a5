// How the figures look: a group of bars for each setting, a bar a schedule, and a diamond where a value is published.

import type { Figure, PlotlyTrace } from "../chart/figure.js";
import { finish, round } from "../chart/theme.js";
import { scheduleColors, scheduleKeys, scheduleNames } from "./play.js";
import type { FigureRow } from "./result.js";

/** Texts of a figure. */
export interface DrawOptions {
	readonly title: string;
	readonly caption: string;
	/** Name of the x axis. */
	readonly x: string;
	/** Name and unit of the y axis. */
	readonly y: string;
	/** Quantity drawn; rows of others are in the table only. */
	readonly quantity: string;
}

/** Draws one quantity of the rows. */
export function drawComparison(rows: readonly FigureRow[], { title, caption, x, y, quantity }: DrawOptions): Figure {
	const drawn = rows.filter((row) => row.quantity === quantity);
	const settings = [...new Set(drawn.map((row) => row.setting))];
	const present = scheduleKeys.filter((key) => drawn.some((row) => row.schedule === scheduleNames[key]));
	// Bars are placed by number, so that a diamond stands over its own bar whatever other schedules there are.
	const width = 0.8 / present.length;
	const placeOf = (row: FigureRow, i: number): number =>
		settings.indexOf(row.setting) + (i - (present.length - 1) / 2) * width;
	const data = present.map((key, i): PlotlyTrace => {
		const own = drawn.filter((row) => row.schedule === scheduleNames[key] && row.simulated !== null);
		return {
			type: "bar",
			name: scheduleNames[key],
			x: own.map((row) => round(placeOf(row, i))),
			y: own.map((row) => round(row.simulated!)),
			width: 0.94 * width,
			marker: { color: scheduleColors[key] },
			text: own.map((row) => row.setting),
			textposition: "none",
			hovertemplate: `%{text}: %{y:.3g}<extra>${scheduleNames[key]}, simulated</extra>`,
		};
	});
	const published = drawn.filter((row) => row.published !== null);
	if (published.length > 0) {
		data.push({
			type: "scatter",
			mode: "markers",
			name: "published",
			x: published.map((row) =>
				round(
					placeOf(
						row,
						present.findIndex((key) => scheduleNames[key] === row.schedule),
					),
				),
			),
			y: published.map((row) => round(row.published!)),
			text: published.map((row) => `${row.setting}, ${row.schedule}`),
			marker: { symbol: "diamond", size: 9, color: "#FFFFFF", line: { color: "#333333", width: 1.5 } },
			hovertemplate: "%{text}: %{y:.3g}<extra>published</extra>",
		});
	}
	return finish(data, {
		title,
		caption,
		plotHeight: 320,
		layout: {
			barmode: "overlay",
			xaxis: {
				title: { text: x, standoff: 6 },
				showgrid: false,
				tickvals: settings.map((_, i) => i),
				ticktext: settings,
				range: [-0.6, settings.length - 0.4],
			},
			yaxis: { title: { text: y }, rangemode: "tozero" },
		},
	});
}
