// Why a block went: the scores of a layer's blocks at one step. Blocks that could not go are drawn too, since a low score
// that survives is only understood by its protection.

import type { Trace } from "../trace/trace.js";
import type { Figure, PlotlyTrace } from "./figure.js";
import { checkNames, checkOneOf, checkTrace, describeNumbers, distinct, fail } from "./options.js";
import { type BlockRow, blockRows, blocksExtent, type EvictionRow, evictionRows, extent } from "./rows.js";
import { colors, describeRun, finish, formatPositions, formatScore, round } from "./theme.js";

/** Options of `chart.blockScores`. */
export interface BlockScoresOptions {
	/** Index of a step of the trace, from 0. */
	step: number;
	/** Layer, from 0. Default 0. */
	layer?: number;
}

interface Bar {
	label: string;
	role: Role;
	score: number;
	text: string;
}

const roles = ["evicted", "runner-up", "kept", "protected"] as const;
type Role = (typeof roles)[number];

const looks: Record<Role, { color: string; shape: string; name: string }> = {
	evicted: { color: colors.evicted, shape: "", name: "evicted: lowest candidate" },
	"runner-up": { color: colors.runnerUp, shape: "\\", name: "runner-up: next to go" },
	kept: { color: colors.kept, shape: "", name: "candidate, kept" },
	protected: { color: colors.protected, shape: "/", name: "protected: not a candidate" },
};

/**
 * Draws the score of every block of a layer at a step, as the policy saw them: before an eviction if the step has one.
 *
 * @throws {OctavoError} ERR_OCTAVO_CHART for a step or layer that the trace lacks, for a step that dropped tokens and not
 * a block (see `chart.tokenScores`); ERR_OCTAVO_OPTION for an unknown option
 */
export function blockScores(trace: Trace, options: BlockScoresOptions): Figure {
	checkTrace("blockScores", trace, "session.trace");
	checkNames("blockScores", options, ["step", "layer"]);
	const evicting = extent(trace, "evictions");
	const recorded = trace.table("blocks").numRows > 0 ? blocksExtent(trace) : evicting;
	const layer = checkOneOf("layer", options?.layer ?? 0, recorded.layers, "the trace's layers");
	const step = checkOneOf("step", options?.step, recorded.steps, "the trace's steps");
	const [eviction] = evictionRows(trace, { layers: [layer], step });
	if (eviction?.granularity === "token") {
		fail(
			`a step with scores of blocks for blockScores (chart.tokenScores shows step ${step})`,
			"one that dropped tokens",
		);
	}
	const rows = blockRows(trace, { layers: [layer], step });
	if (!eviction && rows.length === 0) {
		const steps = distinct(evictionRows(trace, { layers: [layer] }).map((row) => row.step));
		fail(`a step with an eviction (${describeNumbers(steps)}), as the trace has no block rows`, String(step));
	}
	const bars = eviction ? barsBefore(eviction, rows) : rows.map((row) => barOf(row.logicalIndex, row, "kept"));
	const data = roles.flatMap((role): PlotlyTrace[] => {
		const own = bars.filter((bar) => bar.role === role);
		if (own.length === 0) return [];
		const { color, shape, name } = looks[role];
		return [
			{
				type: "bar",
				name: eviction ? name : "block",
				x: own.map((bar) => bar.label),
				y: own.map((bar) => round(bar.score) ?? 0),
				text: own.map((bar) =>
					Number.isFinite(bar.score) ? (bars.length <= 24 ? formatScore(bar.score) : "") : "no score",
				),
				textposition: "outside",
				cliponaxis: false,
				hovertext: own.map((bar) => bar.text),
				hovertemplate: "%{hovertext}<extra></extra>",
				marker: { color, pattern: { shape, fillmode: "overlay", size: 6, solidity: 0.25 } },
			},
		];
	});
	const gone = eviction && eviction.positions.length > 0 ? `, positions ${formatPositions(eviction.positions)},` : "";
	const why = eviction
		? `Block ${eviction.blockId}${gone} went with ${formatScore(eviction.score)}; the lowest of the candidates kept has ${formatScore(eviction.runnerUpScore)}. Scores as the policy saw them, before the eviction.`
		: "No block was evicted in this step.";
	return finish(data, {
		title: `Scores of the blocks of layer ${layer} at step ${step}`,
		caption: `${why} Higher is kept; the older goes first on ties. ${describeRun(trace)}`,
		plotHeight: 300,
		layout: {
			barmode: "overlay",
			bargap: 0.15,
			xaxis: {
				title: { text: "place in the block table", standoff: 6 },
				type: "category",
				categoryorder: "array",
				categoryarray: bars.map((bar) => bar.label),
			},
			yaxis: { title: { text: "score (higher is kept)" }, rangemode: "tozero" },
		},
	});
}

// The rows of `blocks` hold after the eviction, when the table had closed up: places from the evicted one on shift back.
function barsBefore(eviction: EvictionRow, after: BlockRow[]): Bar[] {
	const before = new Map<number, BlockRow | EvictionRow>();
	for (const row of after) before.set(row.logicalIndex + (row.logicalIndex >= eviction.logicalIndex ? 1 : 0), row);
	before.set(eviction.logicalIndex, eviction);
	const scores = new Map(Array.from(eviction.candidates, (place, i) => [place, eviction.candidateScores[i]!]));
	const places = distinct([...before.keys(), ...scores.keys()]);
	const kept = places.filter((place) => scores.has(place) && place !== eviction.logicalIndex);
	const runnerUp = kept.find((place) => scores.get(place) === eviction.runnerUpScore);
	return places.map((place) => {
		const role = place === eviction.logicalIndex ? "evicted" : place === runnerUp ? "runner-up" : undefined;
		return barOf(place, before.get(place), role ?? (scores.has(place) ? "kept" : "protected"), scores.get(place));
	});
}

function barOf(place: number, row: BlockRow | EvictionRow | undefined, role: Role, score?: number): Bar {
	const shown = score ?? row?.score ?? Number.NaN;
	const where = row ? `, block ${row.blockId}<br>positions ${formatPositions(row.positions)}` : "";
	return {
		label: String(place),
		role,
		score: shown,
		text: `place ${place}${where}<br>score ${formatScore(shown)}<br>${role}`,
	};
}
