// Which tokens of the prompt were dropped at prefill: one bar a candidate token, at its position. Gaps are the protected
// tokens, shaded, as the policy never looks at their scores.

import type { Trace } from "../trace/trace.js";
import type { Figure, PlotlyTrace } from "./figure.js";
import { markShapes } from "./marks.js";
import { checkMarks, checkNames, checkOneOf, checkTrace, distinct, fail, type PositionMark } from "./options.js";
import { evictionRows } from "./rows.js";
import { colors, describeRun, finish, round, wholeTicks } from "./theme.js";

/** Options of `chart.tokenScores`. */
export interface TokenScoresOptions {
	/** Layer, from 0. Default: the first that dropped tokens. */
	layer?: number;
	/** Positions to point out, such as the records of a prompt. */
	mark?: readonly PositionMark[];
}

/**
 * Draws the scores of a prompt's tokens when a layer dropped some of them, at the end of prefill.
 *
 * @throws {OctavoError} ERR_OCTAVO_CHART for a layer that dropped no tokens, a malformed `mark`; ERR_OCTAVO_OPTION for an unknown option
 */
export function tokenScores(trace: Trace, options: TokenScoresOptions = {}): Figure {
	checkTrace("tokenScores", trace, "session.trace");
	checkNames("tokenScores", options, ["layer", "mark"]);
	const marks = checkMarks(options.mark);
	const rows = evictionRows(trace).filter((row) => row.granularity === "token");
	if (rows.length === 0) fail("a trace in which tokens were dropped at prefill", "none: the prompt fitted the budget");
	const layers = distinct(rows.map((row) => row.layer));
	const layer = checkOneOf("layer", options.layer ?? layers[0], layers, "the layers that dropped tokens");
	const eviction = rows.find((row) => row.layer === layer)!;
	const dropped = new Set(eviction.positions);
	const bars = (name: string, color: string, shape: string, keep: boolean): PlotlyTrace => {
		const chosen = [...eviction.candidates.keys()].filter((i) => dropped.has(eviction.candidates[i]!) !== keep);
		return {
			type: "bar",
			width: 0.9,
			name: `${name} (${chosen.length})`,
			x: chosen.map((i) => eviction.candidates[i]!),
			y: chosen.map((i) => round(eviction.candidateScores[i]!)),
			marker: { color, line: { width: 0 }, pattern: { shape, fillmode: "overlay", size: 4, solidity: 0.3 } },
			hovertemplate: `position %{x}: score %{y}<br>${name}<extra></extra>`,
		};
	};
	const data = [bars("kept", colors.kept, "", true), bars("dropped", colors.evicted, "/", false)];
	const lastPosition = (trace.table("steps").getChild("position_index")!.get(0) ?? 0) as number;
	const { shapes, traces } = markShapes(marks);
	return finish([...data, ...traces], {
		title: `Scores of the prompt's tokens in layer ${layer}, and which were dropped`,
		caption: `${dropped.size} of the ${eviction.candidates.length} candidates were dropped: those with the lowest scores, the older first on ties. Positions without a bar are protected. ${describeRun(trace)}`,
		plotHeight: 300,
		layout: {
			barmode: "overlay",
			shapes,
			xaxis: {
				title: { text: "RoPE position in the prompt", standoff: 6 },
				showgrid: false,
				...wholeTicks(lastPosition + 1),
				range: [-0.5, lastPosition + 0.5],
			},
			yaxis: { title: { text: "score (higher is kept)" }, rangemode: "tozero" },
		},
	});
}
