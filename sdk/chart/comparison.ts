// How far runs are from a reference after each step: KL divergence above, agreement of the likeliest tokens below.
// Divergences span many orders, so they stand on a logarithmic axis, with a floor for equal distributions.
// A vertical line stands where a run first fed another token; from there on it answers another question.

import type { Comparison } from "../trace/compare.js";
import type { Figure, PlotlyTrace } from "./figure.js";
import { looksOf } from "./looks.js";
import { checkNames, fail } from "./options.js";
import { escapeText, finish, round } from "./theme.js";

// Below what anybody asks about, and above what rounding leaves.
const floor = 1e-6;

/**
 * Draws a comparison.
 *
 * @throws {OctavoError} ERR_OCTAVO_CHART for one without a step in common
 */
export function comparison(of: Comparison, options: object = {}): Figure {
	checkNames("comparison", options, []);
	if (of.table.numRows === 0) fail("a comparison with at least one step in common", "an empty one");
	const column = (name: "position_index" | "kl_divergence" | "top_k_overlap") =>
		of.table.getChild(name)!.toArray() as Float64Array | Int32Array;
	const names = Array.from(of.table.getChild("run")!) as string[];
	const [positions, kl, overlap] = [column("position_index"), column("kl_divergence"), column("top_k_overlap")];
	const looks = looksOf(of.runs);
	const data = of.runs.flatMap((run, i): PlotlyTrace[] => {
		const rows = names.flatMap((name, row) => (name === run ? [row] : []));
		const name = escapeText(run);
		const line = (y: (number | null)[], more: object): PlotlyTrace => ({
			type: "scatter",
			mode: "lines+markers",
			name,
			legendgroup: run,
			x: rows.map((row) => positions[row]!),
			y,
			line: { color: looks[i]!.color, width: 1.5, dash: looks[i]!.dash },
			marker: { color: looks[i]!.color, symbol: looks[i]!.symbol, size: 6 },
			...more,
		});
		return [
			line(
				rows.map((row) => round(Math.max(floor, kl[row]!))),
				{
					customdata: rows.map((row) => round(kl[row]!)),
					hovertemplate: `position %{x}: %{customdata} nats<extra>${name}</extra>`,
				},
			),
			line(
				rows.map((row) => round(100 * overlap[row]!)),
				{ yaxis: "y2", showlegend: false, hovertemplate: `position %{x}: %{y} %<extra>${name}</extra>` },
			),
		];
	});
	const shapes = of.divergences.flatMap(({ run, position }) =>
		position === undefined
			? []
			: [
					{
						type: "line",
						xref: "x",
						yref: "paper",
						...{ x0: position, x1: position, y0: 0, y1: 1 },
						line: { color: looks[of.runs.indexOf(run)]!.color, width: 1, dash: "dot" },
					},
				],
	);
	return finish(data, {
		title: `Next-token distributions against “${of.reference}”`,
		caption: `After each step, beside “${of.reference}”. Divergences of 10⁻⁶ and less, equal distributions among them, stand at the floor.${divergedNote(of)}`,
		plotHeight: 360,
		layout: {
			shapes,
			xaxis: { title: { text: "position of the last token", standoff: 6 }, anchor: "y2", showgrid: false },
			yaxis: {
				title: { text: "KL divergence, nats" },
				domain: [0.36, 1],
				type: "log",
				exponentformat: "power",
				dtick: 1,
			},
			yaxis2: { title: { text: `top ${of.k} shared, %` }, domain: [0, 0.26], range: [0, 102] },
		},
	});
}

function divergedNote({ divergences, reference }: Comparison): string {
	if (divergences.every(({ position }) => position === undefined)) return " All runs were fed the same tokens.";
	return ` A dotted line stands where a run first fed another token than “${reference}”.`;
}
