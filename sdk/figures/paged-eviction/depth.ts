// Where in the prompt does a policy forget? A needle at each depth, one row a policy.

import type { Model } from "../../load-model.js";
import { needle } from "../../model/tasks/index.js";
import { integer } from "../../options.js";
import type { PaperFigure } from "../result.js";
import { besideFull, type Contender, contenders } from "./contenders.js";
import { type ExperimentOptions, runCases } from "./evaluate.js";
import { matrixChart } from "./matrix-chart.js";
import { checkExperiment, contenderList, measuredOn, promptSeeds, sharedChecks } from "./options.js";
import { type Point, pointFigure, pointsOf } from "./points.js";
import { sampleOf } from "./sample.js";

/** Options of `needleByDepth`. */
export interface NeedleByDepthOptions extends ExperimentOptions {
	/** KV tokens kept a layer, of 128: a multiple of `blockSize`, at least three blocks. Default 64. */
	budget?: number;
	/** Slots a block, from 1 to 256. Default 8. */
	blockSize?: number;
	/** Depths, evenly spaced from 0 to 1; from 2. Default 9. */
	numDepths?: number;
	/** Policies beside the full cache. Default: all that evict, and the random control. */
	policies?: readonly Contender[];
}

/**
 * Fraction of needles found, by policy and depth.
 *
 * @returns a point a policy and depth, the mean of `numPrompts` (default 12)
 * @throws {OctavoError} ERR_OCTAVO_OPTION, ERR_OCTAVO_BUDGET
 */
export async function needleByDepth(model: Model, options: NeedleByDepthOptions = {}): Promise<PaperFigure<Point>> {
	const checked = checkExperiment("needleByDepth", model, options, {
		...sharedChecks(12),
		budget: integer(1, 2 ** 31 - 1, 64),
		blockSize: integer(1, 256, 8),
		numDepths: integer(2, 124, 9),
		policies: contenderList,
	});
	const { budget, blockSize, numDepths, numPrompts } = checked;
	const depths = Array.from({ length: numDepths }, (_, i) => i / (numDepths - 1));
	const all = besideFull(checked.policies ?? contenders);
	const cases = depths.flatMap((depth) =>
		promptSeeds(checked).flatMap((seed) => all.map((contender) => ({ depth, seed, contender }))),
	);
	const samples = await runCases(
		cases,
		({ depth, seed, contender }) => {
			const prompt = needle({ seed, depth, filler: "markov" });
			const setting = depth.toFixed(2);
			return sampleOf(model, { task: "needle", setting, contender, budget, blockSize, seed, prompt });
		},
		checked,
	);
	const points = pointsOf(samples);
	const chart = matrixChart(
		points.map((point) => ({
			row: point.policy,
			column: point.setting,
			value: point.score,
			low: point.score_low,
			high: point.score_high,
		})),
		{
			title: `Needle found, by depth: budget ${budget} of 128 tokens`,
			caption: `Mean of ${numPrompts} prompts a cell; depth 0 is right after BOS. The question comes after eviction, blocks of ${blockSize}. ${measuredOn(model)}`,
			x: "depth of the record in the prompt",
		},
	);
	return pointFigure("needle-depth", points, chart);
}
