// How busy each shared resource is over an iteration, schedules beside each other: what a schedule leaves unused.

import type { IterationTrace } from "../trace/iteration-trace.js";
import type { Figure } from "./figure.js";
import { checkRows, describeIteration, numbersOf, resourceName, textsOf } from "./iteration-rows.js";
import { looksOf } from "./looks.js";
import { finish, round } from "./theme.js";

/**
 * Draws the share of the iteration in which each resource worked, a group of bars a resource, a colour a trace.
 *
 * @throws {OctavoError} ERR_OCTAVO_CHART for a trace without rows
 */
export function utilisation(...traces: readonly IterationTrace[]): Figure {
	for (const trace of traces) checkRows(trace, "utilisation");
	const looks = looksOf(traces.map((trace) => trace.metadata.planner));
	const data = traces.map((trace, i) => {
		const shares = numbersOf(trace, "utilisation", "busy_share").map((share) => round(100 * share));
		return {
			type: "bar",
			name: trace.metadata.planner,
			x: textsOf(trace, "utilisation", "resource").map(resourceName),
			y: shares,
			text: shares.map((share) => `${share!.toFixed(0)} %`),
			textposition: "outside",
			cliponaxis: false,
			marker: { color: looks[i]!.color },
			hovertemplate: `%{x}: %{y:.1f} %<extra>${trace.metadata.planner}</extra>`,
		};
	});
	return finish(data, {
		title: "Utilisation of each resource over an iteration",
		caption: `Time at full load over the iteration's length. ${describeIteration(...traces)}`,
		plotHeight: 260,
		layout: {
			barmode: "group",
			xaxis: { title: { text: "resource", standoff: 6 }, showgrid: false },
			yaxis: { title: { text: "busy, %" }, range: [0, 105] },
		},
	});
}
