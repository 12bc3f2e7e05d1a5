// The control: evicts at random among what PagedEviction might evict. A method that does not beat it has shown nothing.

import { anything, checkOptions, integer, optional } from "../../options.js";
import { checkBudget } from "./budget.js";
import { makePolicy, type Policy } from "./policy.js";
import { type PrefillAttentionOptions, prefillAttention, type ScopeOptions, scope, withScope } from "./scope.js";

/** Options of `policies.random`. */
export interface RandomOptions extends ScopeOptions, PrefillAttentionOptions {
	/** KV tokens kept per sequence and layer; a multiple of the session's `blockSize`, at least three blocks. */
	budget: number;
	/** Key of the counter-based generator, from 0 to 2^53 - 1. Default: the session's seed. */
	seed?: number;
}

/**
 * Evicts uniformly among unprotected tokens (prefill) and blocks (decode); the choice depends on seed, layer and step
 * only, so that a replay evicts the same.
 *
 * @throws {OctavoError} ERR_OCTAVO_BUDGET for a budget that is no positive whole number; a session checks the rest
 * @throws {OctavoError} ERR_OCTAVO_OPTION for an unknown option
 */
export function random(options: RandomOptions): Policy {
	const checks = { budget: anything, seed: optional(integer(0, Number.MAX_SAFE_INTEGER, 0)), scope, prefillAttention };
	const checked = withScope(checkOptions("policies.random", options, checks));
	return makePolicy({ name: "random", ...checked, budget: checkBudget(checked.budget) });
}
