// H2O: heavy hitters and recent tokens stay. Each step sums up what attention computed anyway; a prompt computes it once
// more for all its queries, and so does a step over a cache with holes or heads of their own.

import { boolean, checkOptions, integer, optional } from "../../options.js";
import { type BudgetOptions, checkBudget } from "./budget.js";
import { makePolicy, type Policy } from "./policy.js";
import { fullPrefillAttention, type ScopeOptions, scope, withScope } from "./scope.js";
import {
	checkTokenForm,
	type HeadsOptions,
	headsChecks,
	type TokenFormOptions,
	tokenFormChecks,
} from "./token-form.js";

/** Options of `policies.h2o`. */
export interface H2oOptions extends BudgetOptions, ScopeOptions, TokenFormOptions, HeadsOptions {
	/**
	 * Newest tokens that stay whatever their scores, from 1 to `budget - blockSize`; as blocks in whole ones, rounded
	 * down, at least one. Default: half the budget.
	 */
	recent?: number;
	/**
	 * Divides what a token got by the number of queries that could see it: early tokens, which more queries see, are not
	 * favoured. Another method, under its own name. Default false.
	 */
	normalised?: boolean;
}

/**
 * Keeps the tokens to which all queries so far attended most, summed over queries and averaged over query heads, beside
 * the most recent ones; in decode the block with the lowest mean goes once the newest is full, or in each step the token
 * with the lowest. A fork that changes to this policy sums up from the fork on.
 *
 * @throws {OctavoError} ERR_OCTAVO_BUDGET for a budget that is no positive whole number; a session checks the rest
 * @throws {OctavoError} ERR_OCTAVO_OPTION for an unknown option
 * Source: arXiv:2306.14048 (H2O).
 * Differs: unless told otherwise all heads of a layer share one choice and decode evicts whole blocks; it evicts before the
 * step's own query has attended; the first block is protected.
 */
export function h2o(options: H2oOptions): Policy {
	const checked = withScope(
		checkOptions("policies.h2o", options, {
			budget: checkBudget,
			normalised: boolean(false),
			recent: optional(integer(1, 2 ** 31 - 1, 1)),
			...tokenFormChecks,
			scope,
			prefillAttention: fullPrefillAttention,
			...headsChecks,
		}),
	);
	checkTokenForm("policies.h2o", checked);
	return makePolicy({
		name: "h2o",
		...checked,
		normalised: checked.normalised || undefined,
	});
}
