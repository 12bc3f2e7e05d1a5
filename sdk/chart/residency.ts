// Where each subgroup's newest optimizer state is, over time: a row a subgroup, blue on the device, orange on the host.

import type { IterationTrace } from "../trace/iteration-trace.js";
import type { Figure, PlotlyTrace } from "./figure.js";
import { checkRows, describeIteration } from "./iteration-rows.js";
import { checkNames, distinct } from "./options.js";
import { colors, finish, round, wholeTicks } from "./theme.js";

/** Options of `chart.residency`. */
export interface ResidencyOptions {
	/** Part of the iteration to show, in seconds. Default: all. */
	range?: readonly [number, number];
}

/**
 * Draws the residency map.
 *
 * @throws {OctavoError} ERR_OCTAVO_CHART for a trace without rows; ERR_OCTAVO_OPTION for an unknown option
 */
export function residency(trace: IterationTrace, options: ResidencyOptions = {}): Figure {
	checkNames("residency", options, ["range"]);
	checkRows(trace, "residency");
	const columns = trace.columns("residency");
	const subgroups = columns.subgroup_id as number[];
	const [from, to] = [columns.from_us as number[], columns.to_us as number[]];
	const draw = (place: "host" | "device", color: string): PlotlyTrace[] => {
		const rows = subgroups.map((_, i) => i).filter((i) => columns.place![i] === place);
		if (rows.length === 0) return [];
		return [
			{
				type: "bar",
				orientation: "h",
				name: `on the ${place}`,
				base: rows.map((i) => round(from[i]! / 1e6)),
				x: rows.map((i) => round((to[i]! - from[i]!) / 1e6)),
				y: rows.map((i) => subgroups[i]),
				width: 0.8,
				marker: { color, line: { width: 0 } },
				text: rows.map((i) => `${(from[i]! / 1e6).toFixed(3)} to ${(to[i]! / 1e6).toFixed(3)} s`),
				textposition: "none",
				hovertemplate: `subgroup %{y}: %{text}<extra>on the ${place}</extra>`,
			},
		];
	};
	const count = distinct(subgroups).length;
	const visits = subgroups.filter((_, i) => columns.place![i] === "device" && from[i]! > 0).length;
	const resident = subgroups.filter((_, i) => columns.place![i] === "device" && from[i] === 0).length;
	return finish([...draw("host", colors.runnerUp), ...draw("device", colors.kept)], {
		title: `Where each subgroup's optimizer state is: ${trace.metadata.planner}`,
		caption: `A visit lasts from its prefetch's end to its write-back's end. ${count} subgroups: ${visits} visit the device, ${resident} begin there. ${describeIteration(trace)}`,
		plotHeight: Math.min(520, Math.max(160, 12 * count)),
		layout: {
			barmode: "overlay",
			xaxis: {
				title: { text: "time, s", standoff: 6 },
				showgrid: false,
				range: options.range ? [...options.range] : [0, round(trace.metadata.iterationUs / 1e6)],
			},
			yaxis: { title: { text: "subgroup" }, range: [count - 0.5, -0.5], showgrid: false, ...wholeTicks(count) },
		},
	});
}
