// Panels one above the other, one a layer, over one x axis.

/** How the axes of panels are labelled. */
export interface PanelAxes {
	x: string;
	y: string;
	/** The first row stands at the top. */
	reversed?: boolean;
	/** Ticks at whole numbers only. */
	integer?: boolean;
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
		layout({ x, y, reversed = false, integer = false }: PanelAxes): Record<string, unknown> {
			const whole = integer ? { tickformat: "d" } : {};
			const layout: Record<string, unknown> = {
				xaxis: {
					title: { text: x, standoff: 6 },
					anchor: `y${axisNames.at(-1)}`,
					showgrid: false,
					...whole,
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
					...(reversed ? { autorange: "reversed" } : {}),
					...whole,
				};
			});
			return layout;
		},
	};

	function topOf(panel: number): number {
		return 1 - (panel * (panelHeight + gap)) / height;
	}
}
