// A policy written in a cell. The function is kept beside the policy and not in it: a policy is a plain value that goes
// into the record of a run.

import { OctavoError, received } from "../../errors.js";
import { anything, checkOptions, oneOf } from "../../options.js";
import type { BlockView } from "../layer-view.js";
import { checkBudget } from "./budget.js";
import { makePolicy, type Policy } from "./policy.js";

/** Scores a block, in single precision; higher is kept. Its tensors are views of the engine's memory: read them, do not keep them. */
export type ScoreBlock = (block: BlockView) => number;

/** Options of `policies.custom`. */
export interface CustomOptions {
	/** KV tokens kept per sequence and layer; a multiple of the session's `blockSize`, at least three blocks. */
	budget: number;
	/** What is scored and evicted: whole blocks. */
	granularity?: "block";
	/** Called for each block that may go, when the newest block of a layer is full over budget. */
	score: ScoreBlock;
}

const scorers = new WeakMap<Policy, ScoreBlock>();

/**
 * Evicts the block for which a function of yours gives the lowest number, the older of equal ones, once the newest block
 * of a layer is full over budget; the first and the newest block are never evicted. A prompt is kept whole until decode
 * first fills a block, and cut back to the budget then. An exception of the function, or NaN from it, comes out of the
 * call that advanced the session; the session stands before the scoring and can go on.
 *
 * @throws {OctavoError} ERR_OCTAVO_BUDGET for a budget that is no positive whole number; a session checks the rest
 * @throws {OctavoError} ERR_OCTAVO_OPTION for an unknown option, or a score that is no function
 *
 * @example
 * ```ts
 * import { loadModel, policies, tasks } from "octavo";
 * const model = await loadModel();
 * // Keeps the blocks with the largest values.
 * const policy = policies.custom({
 *   budget: 32,
 *   score: (block) => block.values.data.reduce((sum, value) => sum + Math.abs(value), 0),
 * });
 * using session = model.session({ blockSize: 8, policy, seed: 7 });
 * await session.prefill(tasks.recall({ seed: 1 }).context);
 * await session.run({ maxTokens: 64 });
 * console.log(session.layer(0).kvLen < 40);   // true
 * ```
 */
export function custom(options: CustomOptions): Policy {
	const checked = checkOptions("policies.custom", options, {
		budget: anything,
		granularity: oneOf(["block"], "block"),
		score: anything,
	});
	if (typeof checked.score !== "function") {
		throw new OctavoError(
			"ERR_OCTAVO_OPTION",
			`Expected a function for score of policies.custom but received ${received(checked.score)}`,
		);
	}
	const policy = makePolicy({ name: "custom", budget: checkBudget(checked.budget) });
	scorers.set(policy, checked.score as ScoreBlock);
	return policy;
}

/**
 * The function of a custom policy; undefined for other policies.
 *
 * @throws {OctavoError} ERR_OCTAVO_OPTION for a copy of one, which has lost its function
 */
export function scoreBlockOf(policy: Policy): ScoreBlock | undefined {
	const score = scorers.get(policy);
	if (score || policy.name !== "custom") return score;
	throw new OctavoError(
		"ERR_OCTAVO_OPTION",
		"Expected a policy made by policies.custom for policy but received a copy",
	);
}
