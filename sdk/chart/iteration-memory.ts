// Memory over one iteration: the fluctuation that an offload schedule lives on. The device above, the host below, as
// their sizes differ tenfold.

import type { IterationTrace } from "../trace/iteration-trace.js";
import type { Figure, PlotlyTrace } from "./figure.js";
import { checkRows, describeIteration, numbersOf, seconds } from "./iteration-rows.js";
import { looksOf } from "./looks.js";
import { colors, finish, round } from "./theme.js";

/**
 * Draws the bytes in use on the device of one rank and by one rank on the host, over time, with the device's size.
 * Several traces are drawn over each other.
 *
 * @throws {OctavoError} ERR_OCTAVO_CHART for a trace without rows
 */
export function iterationMemory(...traces: readonly IterationTrace[]): Figure {
	for (const trace of traces) checkRows(trace, "memory");
	const looks = looksOf(traces.map((trace) => trace.metadata.planner));
	const alone = traces.length === 1;
	const data = traces.flatMap((trace, i) => curves(trace, alone ? colors.kept : looks[i]!.color, alone));
	const [first] = traces;
	const limit = first ? first.metadata.deviceBytes / 1e9 : 0;
	const longest = Math.max(0, ...traces.map((trace) => trace.metadata.iterationUs));
	const highest = traces.map((trace) => Math.max(...numbersOf(trace, "memory", "device_bytes")) / 1e9);
	// Far below the device's size its line would squeeze the curves that the figure is about.
	const drawLimit = Math.max(0, ...highest) > limit / 2;
	const peaks = traces.map((trace, i) => {
		const peak = highest[i]!;
		return `${trace.metadata.planner} ${peak.toFixed(1)} GB`;
	});
	return finish(data, {
		title: "Memory in use over an iteration",
		caption: `A buffer counts from its first use to its last, lasting ones always. Highest on the device, which has ${limit.toFixed(0)} GB: ${peaks.join(", ")}. ${describeIteration(...traces)}`,
		plotHeight: 380,
		layout: {
			xaxis: {
				title: { text: "time, s", standoff: 6 },
				anchor: "y2",
				showgrid: false,
				range: [0, round(seconds(longest))],
			},
			yaxis: { title: { text: "device, GB" }, domain: [0.46, 1], rangemode: "tozero" },
			yaxis2: { title: { text: "host, GB a rank" }, domain: [0, 0.36], rangemode: "tozero" },
			...(drawLimit ? limitLine(limit) : {}),
		},
	});
}

function limitLine(limit: number): { shapes: object[]; annotations: object[] } {
	const line = { color: colors.protected, width: 1.5, dash: "dash" };
	const place = { xref: "paper", showarrow: false, x: 1, xanchor: "right", y: round(limit), yanchor: "bottom" };
	return {
		shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: round(limit), y1: round(limit), line }],
		annotations: [{ text: `device memory ${limit.toFixed(0)} GB`, ...place }],
	};
}

function curves(trace: IterationTrace, color: string, alone: boolean): PlotlyTrace[] {
	// At its very end nothing is live by the schedule's count, which would draw a cliff that no run has.
	const times = numbersOf(trace, "memory", "time_us");
	const numRows = times.filter((us) => us < trace.metadata.iterationUs).length;
	const x = [...times.slice(0, numRows), trace.metadata.iterationUs].map((us) => round(seconds(us)));
	const { planner } = trace.metadata;
	const curve = (column: string, yaxis: string, place: string): PlotlyTrace => ({
		type: "scatter",
		mode: "lines",
		name: alone ? place : planner,
		legendgroup: planner,
		showlegend: alone || yaxis === "y",
		x,
		y: lastHeld(numbersOf(trace, "memory", column).slice(0, numRows)).map((bytes) => round(bytes / 1e9)),
		yaxis,
		line: { color: alone && yaxis === "y2" ? colors.runnerUp : color, width: 2, shape: "hv" },
		hovertemplate: `%{x:.3f} s: %{y:.2f} GB<extra>${planner}, ${place}</extra>`,
	});
	return [curve("device_bytes", "y", "device"), curve("host_bytes", "y2", "host")];
}

function lastHeld(bytes: number[]): number[] {
	return [...bytes, bytes.at(-1) ?? 0];
}
