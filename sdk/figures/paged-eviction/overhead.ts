// What eviction costs: the time of a decode step by part, for every policy, in the engine's own clock.

import { colors, escapeText, finish, grey, round } from "../../chart/theme.js";
import { engineInfo } from "../../engine.js";
import type { Model } from "../../load-model.js";
import { recall } from "../../model/tasks/index.js";
import { figureOf, type PaperFigure } from "../result.js";
import { besideFull, type Contender, contenders } from "./contenders.js";
import { runCases } from "./evaluate.js";
import { checkExperiment, type SequenceOptions, sequenceChecks } from "./options.js";

const numRepeats = 5;

/** Options of `evictionOverhead`. */
export interface OverheadOptions extends SequenceOptions {
	/** Policies beside the full cache. Default: all that evict, and the random control. */
	policies?: readonly Contender[];
}

/** Mean time of a decode step under one policy. */
export interface OverheadPoint {
	/** Policy. */
	readonly policy: string;
	/** The whole step, in microseconds. */
	readonly total_us: number;
	/** Of it in attention, in microseconds. */
	readonly attention_us: number;
	/** Computing scores. */
	readonly score_us: number;
	/** Choosing, freeing. */
	readonly evict_us: number;
	/** (score + evict) / total. */
	readonly share: number;
	/** Median over the runs of a step's mean time, disturbances and all. */
	readonly median_total_us: number;
}

const schema = {
	policy: { type: "text", description: "Policy" },
	total_us: { type: "f64", description: "Mean time of a decode step, in microseconds" },
	attention_us: { type: "f64", description: "Of it in attention" },
	score_us: { type: "f64", description: "Of it computing eviction scores" },
	evict_us: { type: "f64", description: "Of it choosing and freeing" },
	share: { type: "f64", description: "(score + evict) / total, 0 to 1" },
	median_total_us: { type: "f64", description: "Median over the runs of a step's mean time, in microseconds" },
} as const;

const parts = [
	{ name: "attention", color: colors.kept, of: (row: OverheadPoint) => row.attention_us },
	{ name: "scores", color: colors.evicted, of: (row: OverheadPoint) => row.score_us },
	{ name: "choosing and freeing", color: colors.runnerUp, of: (row: OverheadPoint) => row.evict_us },
	{
		name: "projections and the rest",
		color: grey,
		of: (row: OverheadPoint) => row.total_us - row.attention_us - row.score_us - row.evict_us,
	},
] as const;

const middle = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

/**
 * Time of a decode step by part.
 *
 * @returns a point a policy; wall times of this machine, which vary from run to run
 * @throws {OctavoError} ERR_OCTAVO_OPTION, ERR_OCTAVO_BUDGET
 */
export async function evictionOverhead(
	model: Model,
	options: OverheadOptions = {},
): Promise<PaperFigure<OverheadPoint>> {
	const checked = checkExperiment("evictionOverhead", model, options, sequenceChecks(), 1);
	const { budget, blockSize, numTokens, firstSeed: seed } = checked;
	const task = recall({ seed });
	const prompt = Int32Array.from({ length: 128 }, (_, i) => (i * 7919 + seed) % model.config.vocabSize);
	const rows = await runCases(
		besideFull(checked.policies ?? contenders),
		(contender): OverheadPoint => {
			const repeats = Array.from({ length: numRepeats }, () => {
				const policy = contender.policy(budget, seed, task);
				using session = model.session({ blockSize, policy, seed, recordBlocks: false });
				session.prefillSync(prompt);
				session.runSync({ maxTokens: numTokens, endTokens: [] });
				return [...session.trace.table("steps")].slice(1);
			});
			// Every repeat does the same work, so the least of each step is what other programs disturbed least.
			const mean = (column: "total_us" | "attention_us" | "score_us" | "evict_us"): number =>
				repeats[0]!.reduce((sum, _, i) => sum + Math.min(...repeats.map((steps) => steps[i]![column])), 0) / numTokens;
			const [total, attention, score, evict] = [
				mean("total_us"),
				mean("attention_us"),
				mean("score_us"),
				mean("evict_us"),
			];
			return {
				policy: contender.name,
				total_us: total,
				attention_us: attention,
				score_us: score,
				evict_us: evict,
				share: (score + evict) / total,
				median_total_us: middle(
					repeats.map((steps) => steps.reduce((sum, step) => sum + step.total_us, 0) / numTokens),
				),
			};
		},
		checked,
	);
	const bars = parts.map(({ name, color, of }) => ({
		type: "bar",
		orientation: "h",
		name,
		y: rows.map((row) => escapeText(row.policy)),
		x: rows.map((row) => round(of(row))),
		marker: { color },
		hovertemplate: `%{y}, ${name}: %{x:.1f} µs<extra></extra>`,
	}));
	const slower = rows.map((row) => row.median_total_us / row.total_us);
	const disturbed = `${Math.min(...slower).toFixed(2)} to ${Math.max(...slower).toFixed(2)}`;
	const chart = finish(bars, {
		title: "Time of a decode step",
		caption: `Mean of ${numTokens} steps after a prompt of 128, of each step the least of ${numRepeats} runs (the median run took ${disturbed} times as long: what else the machine did); budget ${budget}, blocks of ${blockSize}; ${model.name}, ${model.numParameters.toLocaleString("en")} parameters, on this machine's CPU (${engineInfo().simd}, ${engineInfo().numThreads} threads). On a small model a step is short and the shares are large.`,
		plotHeight: 28 * rows.length + 30,
		layout: {
			barmode: "stack",
			legend: { orientation: "h", x: 0, y: 1, xanchor: "left", yanchor: "bottom", traceorder: "normal" },
			xaxis: { title: { text: "microseconds", standoff: 6 }, rangemode: "tozero" },
			yaxis: { type: "category", autorange: "reversed", automargin: true, showgrid: false },
		},
	});
	return figureOf("eviction-overhead", schema, rows, chart);
}
