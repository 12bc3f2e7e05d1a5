// H2O: heavy hitters and recent tokens stay. Each step computes its attention once more to sum it up, and a prompt does so
// for all its queries: the dearest of the policies.

import { anything, boolean, checkOptions } from "../../options.js";
import { checkBudget } from "./budget.js";
import { makePolicy, type Policy } from "./policy.js";
import { fullPrefillAttention, type ScopeOptions, scope } from "./scope.js";

/** Options of `policies.h2o`. */
export interface H2oOptions extends ScopeOptions {
	/** KV tokens kept per sequence and layer; a multiple of the session's `blockSize`, at least three blocks. */
	budget: number;
	/**
	 * Divides what a token got by the number of queries that could see it: early tokens, which more queries see, are not
	 * favoured. Another method, under its own name. Default false.
	 */
	normalised?: boolean;
}

/**
 * Keeps the tokens to which all queries so far attended most, summed over queries and averaged over query heads, beside
 * the most recent half of the budget in whole blocks; in decode the block with the lowest mean goes once the newest is
 * full. A fork that changes to this policy sums up from the fork on.
 *
 * @throws {OctavoError} ERR_OCTAVO_BUDGET for a budget that is no positive whole number; a session checks the rest
 * @throws {OctavoError} ERR_OCTAVO_OPTION for an unknown option
 * Source: arXiv:2306.14048 (H2O).
 * Differs: all heads of a layer share one choice, decode evicts whole blocks and before the step's own query has attended, and
 * the first block is protected.
 */
export function h2o(options: H2oOptions): Policy {
	const {
		budget,
		normalised,
		scope: shared,
	} = checkOptions("policies.h2o", options, {
		budget: anything,
		normalised: boolean(false),
		scope,
		prefillAttention: fullPrefillAttention,
	});
	return makePolicy({
		name: "h2o",
		budget: checkBudget(budget),
		normalised: normalised || undefined,
		shared,
	});
}
