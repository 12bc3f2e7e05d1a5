// An iteration's time by phase, one stacked bar a schedule.

import type { IterationTrace } from "../trace/iteration-trace.js";
import type { Figure, PlotlyTrace } from "./figure.js";
import { checkRows, describeIteration, numbersOf, textsOf } from "./iteration-rows.js";
import { finish, round } from "./theme.js";

/** Colour of each phase. */
const phaseColors = {
	forward: "#56B4E9",
	backward: "#CC79A7",
	update: "#E69F00",
	other: "#8C8C8C",
} as const;

/**
 * Draws forward, backward, update and the rest of each trace's iteration as a stacked bar.
 *
 * @throws {OctavoError} ERR_OCTAVO_CHART for a trace without rows
 */
export function iterationBreakdown(...traces: readonly IterationTrace[]): Figure {
	for (const trace of traces) checkRows(trace, "phases");
	const names = traces.map((trace) => trace.metadata.planner);
	const data = (Object.keys(phaseColors) as (keyof typeof phaseColors)[]).map((phase): PlotlyTrace => {
		const times = traces.map((trace) => {
			const at = textsOf(trace, "phases", "phase").indexOf(phase);
			return at < 0 ? 0 : round(numbersOf(trace, "phases", "duration_us")[at]! / 1e6);
		});
		return {
			type: "bar",
			orientation: "h",
			name: phase,
			y: names,
			x: times,
			marker: { color: phaseColors[phase] },
			hovertemplate: `%{y}: %{x:.3f} s<extra>${phase}</extra>`,
		};
	});
	return finish(data, {
		title: "One iteration by phase",
		caption: `Other: what lies between the phases, and copies that trail after the update. ${describeIteration(...traces)}`,
		plotHeight: 44 * traces.length + 20,
		layout: {
			barmode: "stack",
			legend: { orientation: "h", x: 0, y: 1, xanchor: "left", yanchor: "bottom", traceorder: "normal" },
			xaxis: { title: { text: "time, s", standoff: 6 } },
			yaxis: { autorange: "reversed", showgrid: false, automargin: true },
			annotations: traces.map((trace, i) => ({
				text: `${(trace.metadata.iterationUs / 1e6).toFixed(2)} s`,
				x: round(trace.metadata.iterationUs / 1e6),
				xanchor: "left",
				xshift: 4,
				y: names[i],
				showarrow: false,
			})),
		},
	});
}
