// Panels one above the other, one a layer, over one x axis; the first row stands at the top.

import { wholeTicks } from "./theme.js";

/** How the axes of panels are labelled. */
export interface PanelAxes {
	x: string;
	y: string;
	/** Columns, counted from 0. */
	numColumns: number;
	/** Rows, counted from 0; absent where rows have names. */
	numRows?: number;
}

const gap = 34;

/**
 * Places one panel a layer.
 *
 * @param panelHeight in pixels
 * @returns axes for each panel's traces, the layout of all axes with the panels' names, and the height of all
 */
export function panels(layers: readonly number[], panelHeight: number) {
	const height = layers.length * panelHeight + (layers.length - 1) * gap;
	const axisNames = layers.map((_, i) => (i === 0 ? "" : String(i + 1)));
	return {
		height,
		axes: axisNames.map((suffix) => ({ xaxis: "x", yaxis: `y${suffix}` })),
		layout({ x, y, numColumns, numRows }: PanelAxes): Record<string, unknown> {
			const layout: Record<string, unknown> = {
				xaxis: {
					title: { text: x, standoff: 6 },
					anchor: `y${axisNames.at(-1)}`,
					showgrid: false,
					range: [-0.5, numColumns - 0.5],
					...wholeTicks(numColumns),
				},
				annotations: layers.map((layer, i) => ({
					text: `layer ${layer}`,
					xref: "paper",
					yref: "paper",
					x: 1,
					xanchor: "right",
					y: topOf(i),
					yanchor: "bottom",
					showarrow: false,
				})),
			};
			axisNames.forEach((suffix, i) => {
				layout[`yaxis${suffix}`] = {
					title: { text: y },
					domain: [Math.max(0, topOf(i) - panelHeight / height), topOf(i)],
					showgrid: false,
					...(numRows ? { range: [numRows - 0.5, -0.5], ...wholeTicks(numRows) } : { autorange: "reversed" }),
				};
			});
			return layout;
		},
	};

	function topOf(panel: number): number {
		return 1 - (panel * (panelHeight + gap)) / height;
	}
}
