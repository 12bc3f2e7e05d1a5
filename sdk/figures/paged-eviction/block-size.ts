// The paper's ablation of the block size, on the recall task at one budget that all sizes divide.

import type { Model } from "../../load-model.js";
import { integer } from "../../options.js";
import type { PaperFigure } from "../result.js";
import { standIns } from "./accuracy.js";
import { besideFull, type Contender, contenders } from "./contenders.js";
import { type ExperimentOptions, runCases } from "./evaluate.js";
import { matrixChart } from "./matrix-chart.js";
import { axisList, checkExperiment, contenderList, measuredOn, promptSeeds, sharedChecks } from "./options.js";
import { type Point, pointFigure, pointsOf } from "./points.js";
import { sampleOf } from "./sample.js";

/** Options of `accuracyByBlockSize`. */
export interface BlockSizeOptions extends ExperimentOptions {
	/** KV tokens kept a layer, of 128; a multiple of each block size and at least three blocks. Default 96. */
	budget?: number;
	/** Default 8, 16 and 32. */
	blockSizes?: readonly number[];
	/** Policies beside the full cache. Default: all that evict, and the random control. */
	policies?: readonly Contender[];
}

/**
 * Fraction of recall questions answered, by policy and block size.
 *
 * @returns a point a policy and block size, the mean of `numPrompts` (default 20)
 * @throws {OctavoError} ERR_OCTAVO_OPTION; ERR_OCTAVO_BUDGET for a block size that does not fit
 * Source: arXiv:2509.04377, its ablation of the page size.
 */
export async function accuracyByBlockSize(model: Model, options: BlockSizeOptions = {}): Promise<PaperFigure<Point>> {
	const checked = checkExperiment("accuracyByBlockSize", model, options, {
		...sharedChecks(20),
		budget: integer(1, 2 ** 31 - 1, 96),
		blockSizes: axisList,
		policies: contenderList,
	});
	const { budget, blockSizes = [8, 16, 32], numPrompts } = checked;
	const all = besideFull(checked.policies ?? contenders);
	const cases = promptSeeds(checked).flatMap((seed) =>
		blockSizes.flatMap((blockSize) => all.map((contender) => ({ seed, blockSize, contender }))),
	);
	const samples = await runCases(
		cases,
		(each) =>
			sampleOf(model, { ...each, task: "recall", setting: "", budget, prompt: standIns.recall.prompt(each.seed) }),
		checked,
	);
	const points = pointsOf(samples);
	const chart = matrixChart(
		points.map((point) => ({
			row: point.policy,
			column: String(point.block_size),
			value: point.score,
			low: point.score_low,
			high: point.score_high,
		})),
		{
			title: `Accuracy by block size: recall, budget ${budget} of 128 tokens`,
			caption: `Mean of ${numPrompts} prompts a cell; larger blocks also protect more tokens at both ends. ${measuredOn(model)}`,
			x: "slots a block",
		},
	);
	return pointFigure("block-size", points, chart);
}
