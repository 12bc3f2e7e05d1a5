// Positions that a caller points out, drawn as bands across a panel with one entry in the legend for each label.

import type { PlotlyTrace } from "./figure.js";
import { distinct, type PositionMark } from "./options.js";
import { colors, escapeText, palette } from "./theme.js";

/** Where the bands stand: fractions of the panel's height, the whole of it by default. */
export interface MarkBand {
	y0?: number;
	y1?: number;
	/** From 0 to 1. Default 0.28, so that bars stand out before them. */
	opacity?: number;
}

/** Bands and legend entries of marks. Runs of positions become one band each. */
export function markShapes(
	marks: readonly PositionMark[],
	{ y0 = 0, y1 = 1, opacity = 0.28 }: MarkBand = {},
): { shapes: object[]; traces: PlotlyTrace[] } {
	const colorOf = (i: number) => (i === 0 ? colors.mark : palette[(i + 3) % palette.length]!);
	const shapes = marks.flatMap((mark, i) =>
		runs(distinct(mark.positions)).map(([first, last]) => ({
			type: "rect",
			xref: "x",
			yref: "y domain",
			x0: first - 0.5,
			x1: last + 0.5,
			y0,
			y1,
			fillcolor: colorOf(i),
			opacity,
			line: { width: 0 },
			layer: "below",
		})),
	);
	const traces = marks.map((mark, i) => ({
		type: "scatter",
		mode: "markers",
		name: escapeText(mark.label),
		x: [null],
		y: [null],
		marker: { symbol: "square", size: 10, color: colorOf(i), opacity: Math.max(0.5, opacity) },
		hoverinfo: "skip",
	}));
	return { shapes, traces };
}

function runs(positions: number[]): [first: number, last: number][] {
	const result: [number, number][] = [];
	for (const position of positions) {
		const open = result.at(-1);
		if (open && open[1] === position - 1) open[1] = position;
		else result.push([position, position]);
	}
	return result;
}
