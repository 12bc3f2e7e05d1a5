// Inverse key L2-norm: the shortest keys stay, as they draw the most attention. Needs no attention probabilities.

import { anything, checkOptions } from "../../options.js";
import { checkBudget } from "./budget.js";
import { makePolicy, type Policy } from "./policy.js";
import { type PrefillAttentionOptions, prefillAttention, type ScopeOptions, scope, withScope } from "./scope.js";

/** Options of `policies.inverseKeyNorm`. */
export interface InverseKeyNormOptions extends ScopeOptions, PrefillAttentionOptions {
	/** KV tokens kept per sequence and layer; a multiple of the session's `blockSize`, at least three blocks. */
	budget: number;
}

/**
 * Keeps tokens by the mean over KV heads of 1 / ‖K‖₂; in decode the block with the lowest mean goes once the newest is full.
 *
 * @throws {OctavoError} ERR_OCTAVO_BUDGET for a budget that is no positive whole number; a session checks the rest
 * @throws {OctavoError} ERR_OCTAVO_OPTION for an unknown option
 * Source: arXiv:2406.11430 (Devoto et al.).
 * Differs: all heads of a layer share one choice, all layers evict, the first block and the newest tokens are protected, and
 * decode evicts whole blocks.
 */
export function inverseKeyNorm(options: InverseKeyNormOptions): Policy {
	const checked = withScope(
		checkOptions("policies.inverseKeyNorm", options, { budget: anything, scope, prefillAttention }),
	);
	return makePolicy({ name: "inverse-key-norm", ...checked, budget: checkBudget(checked.budget) });
}
