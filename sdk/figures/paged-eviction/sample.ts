// One case of an experiment, run: a prompt asked under a contender's policy.

import type { Model } from "../../load-model.js";
import type { RecallPrompt } from "../../model/tasks/index.js";
import { type Contender, fullCache } from "./contenders.js";
import { type Asking, evaluate } from "./evaluate.js";
import type { Sample } from "./points.js";

/** What is run, and by what names its sample is found. */
export interface Case extends Pick<Sample, "task" | "setting" | "blockSize" | "seed"> {
	contender: Contender & Asking;
	/** KV tokens kept a layer; the full cache passes over it. */
	budget: number;
	prompt: RecallPrompt;
}

/**
 * Runs a case.
 *
 * @throws {OctavoError} ERR_OCTAVO_BUDGET where the policy's budget does not fit the block size
 */
export function sampleOf(model: Model, { contender, budget, prompt, ...place }: Case): Sample {
	const { blockSize, seed } = place;
	const { questionAware, numPrefilled } = contender;
	const policy = contender.policy(budget, seed, prompt);
	return {
		...place,
		policy: contender.name,
		budget: contender === fullCache ? undefined : budget,
		...evaluate(model, prompt, { policy, blockSize, seed, questionAware, numPrefilled }),
	};
}
