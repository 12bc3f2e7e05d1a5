// Where in the prompt does a policy forget? A needle at each depth, one row a policy.

import { full } from "../../decode/policies/index.js";
import type { Model } from "../../load-model.js";
import { needle } from "../../model/tasks/index.js";
import { checkOptions, integer } from "../../options.js";
import type { PaperFigure } from "../result.js";
import { type Contender, contenders } from "./contenders.js";
import { type ExperimentOptions, evaluate, runCases } from "./evaluate.js";
import { matrixChart } from "./matrix-chart.js";
import { contenderList, measuredOn, sharedChecks } from "./options.js";
import { type Point, pointsOf, pointTable, type Sample } from "./points.js";

/** Options of `needleByDepth`. */
export interface NeedleByDepthOptions extends ExperimentOptions {
	/** KV tokens kept a layer, of 128. Default 64. */
	budget?: number;
	/** Slots a block. Default 8. */
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
	const checked = checkOptions("figures.needleByDepth()", options, {
		...sharedChecks(12),
		budget: integer(1, 2 ** 31 - 1, 64),
		blockSize: integer(1, 256, 8),
		numDepths: integer(2, 124, 9),
		policies: contenderList,
	});
	const { budget, blockSize, numDepths, numPrompts, firstSeed } = checked;
	const depths = Array.from({ length: numDepths }, (_, i) => i / (numDepths - 1));
	const all = [{ name: "full", policy: () => full() }, ...(checked.policies ?? contenders)];
	const cases = depths.flatMap((depth) =>
		Array.from({ length: numPrompts }, (_, i) => firstSeed + i).flatMap((seed) =>
			all.map((contender) => ({ depth, seed, contender })),
		),
	);
	const samples = await runCases(
		cases,
		({ depth, seed, contender: { name, policy } }): Sample => {
			const prompt = needle({ seed, depth, filler: "markov" });
			return {
				task: "needle",
				setting: depth.toFixed(2),
				policy: name,
				budget: name === "full" ? undefined : budget,
				blockSize,
				seed,
				...evaluate(model, prompt, { policy: policy(budget, seed, prompt), blockSize, seed }),
			};
		},
		checked,
	);
	const points = pointsOf(samples);
	const chart = matrixChart(
		points.map((point) => ({ row: point.policy, column: point.setting, value: point.score })),
		{
			title: `Needle found, by depth: budget ${budget} of 128 tokens`,
			caption: `Mean of ${numPrompts} prompts a cell; depth 0 is right after BOS. The question comes after eviction, blocks of ${blockSize}. ${measuredOn(model)}`,
			x: "depth of the record in the prompt",
			format: ".2f",
		},
	);
	const name = "needle-depth";
	return { name, title: chart.title, table: pointTable(name, points), rows: points, chart };
}
