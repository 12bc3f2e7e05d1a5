// Positions that a caller points out, drawn as bands across a panel with one entry in the legend for each label.

import type { PlotlyTrace } from "./figure.js";
import type { PositionMark } from "./options.js";
import { colors, escapeText, palette } from "./theme.js";

/**
 * Bands and legend entries of marks.
 *
 * @param yaxis axis whose whole height the bands take, as plotly names it: `y`, `y2`, …
 */
export function markShapes(marks: readonly PositionMark[], yaxis: string): { shapes: object[]; traces: PlotlyTrace[] } {
	const colorOf = (i: number) => (i === 0 ? colors.mark : palette[(i + 3) % palette.length]!);
	const shapes = marks.flatMap((mark, i) =>
		Array.from(mark.positions, (position) => ({
			type: "rect",
			xref: "x",
			yref: `${yaxis} domain`,
			x0: position - 0.5,
			x1: position + 0.5,
			y0: 0,
			y1: 1,
			fillcolor: colorOf(i),
			opacity: 0.28,
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
		marker: { symbol: "square", size: 10, color: colorOf(i), opacity: 0.5 },
		hoverinfo: "skip",
	}));
	return { shapes, traces };
}
