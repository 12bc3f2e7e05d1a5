// Accuracy by budget on a stand-in task, every policy beside the full cache, an oracle and the random control.

import { accuracy } from "../../chart/accuracy.js";
import type { Model } from "../../load-model.js";
import { lookup, needle, type RecallPrompt, recall } from "../../model/tasks/index.js";
import { integer, oneOf } from "../../options.js";
import type { PaperFigure } from "../result.js";
import { besideFull, type Contender, contenders, fullCache, oracle } from "./contenders.js";
import { type ExperimentOptions, runCases } from "./evaluate.js";
import { axisList, checkExperiment, contenderList, measuredOn, promptSeeds, sharedChecks } from "./options.js";
import { type Point, pointFigure, pointsOf } from "./points.js";
import { sampleOf } from "./sample.js";

/** A stand-in task: its prompts, and budgets below their length. */
export interface StandIn {
	/** What it stands in for, for captions. */
	readonly description: string;
	readonly budgets: readonly number[];
	prompt(seed: number): RecallPrompt;
}

/** The tasks by name. A needle's depth follows its seed, so that all depths are met alike. */
export const standIns: Readonly<Record<"recall" | "needle" | "lookup", StandIn>> = {
	recall: {
		description: "6 records in 128 tokens, six questions a prompt",
		budgets: [32, 48, 64, 80, 96, 112],
		prompt: (seed) => recall({ seed, filler: "markov" }),
	},
	needle: {
		description: "1 record in 128 tokens at depths 0 to 1, one question a prompt",
		budgets: [32, 48, 64, 80, 96, 112],
		prompt: (seed) => needle({ seed, depth: (seed % 11) / 10, filler: "markov" }),
	},
	lookup: {
		description: "16 records in 65 tokens without filler, six questions a prompt",
		budgets: [24, 32, 40, 48, 56],
		prompt: (seed) => lookup({ seed }),
	},
};

/** Name of a stand-in task. */
export type TaskName = keyof typeof standIns;

/** Options of `accuracyByBudget`. */
export interface AccuracyByBudgetOptions extends ExperimentOptions {
	/** Default `recall`. */
	task?: TaskName;
	/** Default: five or six below the task's length. */
	budgets?: readonly number[];
	/** Slots a block, from 1 to 256. Default 8. */
	blockSize?: number;
	/** Policies beside the full cache. Default: an oracle, all that evict, and the random control. */
	policies?: readonly Contender[];
}

/**
 * Fraction of questions answered by budget; questions come after eviction.
 *
 * @returns a point a policy and budget, with 95 % bootstrap intervals over prompts (default 24)
 * @throws {OctavoError} ERR_OCTAVO_OPTION, ERR_OCTAVO_BUDGET
 * Source: arXiv:2509.04377, its figures of accuracy by budget, on stand-in tasks.
 */
export async function accuracyByBudget(
	model: Model,
	options: AccuracyByBudgetOptions = {},
): Promise<PaperFigure<Point>> {
	const checked = checkExperiment("accuracyByBudget", model, options, {
		...sharedChecks(24),
		task: oneOf(["recall", "needle", "lookup"], "recall"),
		blockSize: integer(1, 256, 8),
		budgets: axisList,
		policies: contenderList,
	});
	const { task, blockSize } = checked;
	const standIn = standIns[task];
	const budgets = checked.budgets ?? standIn.budgets;
	const all = besideFull(checked.policies ?? [oracle, ...contenders]);
	const cases = promptSeeds(checked).flatMap((seed) => {
		const prompt = standIn.prompt(seed);
		// The full cache is the same at every budget.
		return all.flatMap((contender) =>
			(contender === fullCache ? budgets.slice(0, 1) : budgets).map((budget) => ({ seed, prompt, contender, budget })),
		);
	});
	const samples = await runCases(cases, (each) => sampleOf(model, { ...each, task, setting: "", blockSize }), checked);
	const points = pointsOf(samples);
	const chart = accuracy(
		samples.map(({ policy, budget, score }) => ({ policy, score, ...(budget === undefined ? {} : { budget }) })),
		{
			title: `Accuracy by budget: ${task}`,
			caption: `${standIn.description}; questions after eviction, blocks of ${blockSize}. The oracle knows what will be asked. ${measuredOn(model)}`,
		},
	);
	return pointFigure(`accuracy-${task}`, points, chart);
}
