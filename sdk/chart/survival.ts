// Which tokens are gone, when, in every layer: a strip a layer, one cell a position. The shape of a policy at a glance:
// StreamingLLM drops one run, scores drop what they score low, layers agree or not.

import type { Trace } from "../trace/trace.js";
import type { Figure } from "./figure.js";
import { markShapes } from "./marks.js";
import { checkMarks, checkNames, checkTrace, chooseLayers, fail, type PositionMark } from "./options.js";
import { describeHead, evictionRows, extent } from "./rows.js";
import { colors, describeRun, finish, scale, wholeTicks } from "./theme.js";

/** Options of `chart.survival`. */
export interface SurvivalOptions {
	/** Layer or layers. Default: all. */
	layer?: number | readonly number[];
	/** Positions to point out, such as the records of a prompt. */
	mark?: readonly PositionMark[];
	/** KV head, from 0, where each keeps tokens of its own. Default 0. */
	head?: number;
}

/**
 * Shows the fate of every token: kept to the end of the trace, or evicted, coloured by the step in which it went.
 *
 * @throws {OctavoError} ERR_OCTAVO_CHART for a layer that the trace lacks, an empty trace, a malformed `mark`; ERR_OCTAVO_OPTION for
 * an unknown option
 */
export function survival(trace: Trace, options: SurvivalOptions = {}): Figure {
	checkTrace("survival", trace, "session.trace");
	checkNames("survival", options, ["layer", "mark", "head"]);
	const marks = checkMarks(options.mark);
	const { layers: available, steps } = extent(trace, "memory");
	if (steps.length === 0) fail("a trace with at least one step", "an empty one");
	const layers = chooseLayers(options.layer ?? available, available, "the trace's layers");
	const lastPositions = trace.table("steps").getChild("position_index")!.toArray() as Int32Array;
	const numTokens = 1 + (lastPositions.at(-1) ?? -1);
	const evicted = layers.map(() => new Array<number | null>(numTokens).fill(null));
	const { head } = options;
	const headNote = describeHead(trace, head);
	for (const row of evictionRows(trace, { layers, ...(head === undefined ? {} : { head }) })) {
		const strip = evicted[layers.indexOf(row.layer)]!;
		for (const position of row.positions) strip[position] = row.step;
	}
	const positions = Array.from({ length: numTokens }, (_, i) => i);
	const went = evicted.flat().filter((step) => step !== null);
	// A scale of one colour says nothing, and its ticks have no room.
	const showscale = new Set(went).size > 1;
	const names = layers.map((layer) => `layer ${layer}`);
	const kept = evicted.map((strip) => strip.map((step) => (step === null ? 1 : null)));
	const numKept = kept.map((strip) => strip.filter((one) => one === 1).length);
	const plotHeight = Math.max(90, 34 * layers.length);
	const shared = {
		type: "heatmap",
		x: positions,
		y: names,
		ygap: 3,
		xgap: numTokens <= 200 ? 1 : 0,
		hoverongaps: false,
	};
	const { shapes, traces } = markShapes(marks, { y0: 1.02, y1: 1.02 + 10 / plotHeight, opacity: 0.9 });
	const data = [
		{
			...shared,
			z: kept,
			colorscale: [
				[0, colors.kept],
				[1, colors.kept],
			],
			opacity: 0.3,
			showscale: false,
			hovertemplate: "%{y}, position %{x}: kept<extra></extra>",
		},
		{
			...shared,
			z: evicted,
			colorscale: scale,
			zmin: 0,
			zmax: Math.max(1, steps.at(-1) ?? 1),
			showscale,
			colorbar: {
				title: { text: "evicted<br>in step", side: "top" },
				thickness: 12,
				outlinewidth: 0,
				...wholeTicks(3 * (steps.at(-1) ?? 1)),
			},
			hovertemplate: "%{y}, position %{x}: evicted in step %{z}<extra></extra>",
		},
		...traces,
	];
	const counts = numKept.length > 0 ? ` Kept of ${numTokens}: ${summarise(numKept)} a layer.` : "";
	const figure = finish(data, {
		title: "Which tokens survive, layer by layer",
		caption: `Faint: still in the cache at the end. Coloured: evicted, ${went.length > 0 && !showscale ? `all in step ${went[0]}` : "by the step"}; step 0 is the end of prefill.${counts}${headNote} ${describeRun(trace)}`,
		plotHeight,
		layout: {
			shapes,
			showlegend: marks.length > 0,
			// Above the bands of the marks.
			legend: { orientation: "h", x: 0, y: 1 + 16 / plotHeight, xanchor: "left", yanchor: "bottom" },
			xaxis: { title: { text: "RoPE position", standoff: 6 }, showgrid: false, ...wholeTicks(numTokens) },
			yaxis: { autorange: "reversed", showgrid: false },
		},
	});
	return figure;
}

function summarise(counts: number[]): string {
	const [low, high] = [Math.min(...counts), Math.max(...counts)];
	return low === high ? String(low) : `${low} to ${high}`;
}
