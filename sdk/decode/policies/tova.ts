// TOVA: what the newest query attends to least goes. Computes that query's attention once more when a block is full.

import { anything, checkOptions } from "../../options.js";
import { checkBudget } from "./budget.js";
import { makePolicy, type Policy } from "./policy.js";
import { fullPrefillAttention, type ScopeOptions, scope, withScope } from "./scope.js";

/** Options of `policies.tova`. */
export interface TovaOptions extends ScopeOptions {
	/** KV tokens kept per sequence and layer; a multiple of the session's `blockSize`, at least three blocks. */
	budget: number;
}

/**
 * Keeps what the newest query attends to most, averaged over query heads; in decode the block with the lowest mean goes
 * once the newest is full.
 *
 * @throws {OctavoError} ERR_OCTAVO_BUDGET for a budget that is no positive whole number; a session checks the rest
 * @throws {OctavoError} ERR_OCTAVO_OPTION for an unknown option
 * Source: arXiv:2401.06104 (TOVA).
 * Differs: decode evicts a whole block each time the newest is full, not a token a step; the prompt is cut once, by its last
 * query; the first block and the newest tokens are protected.
 */
export function tova(options: TovaOptions): Policy {
	const checks = { budget: anything, scope, prefillAttention: fullPrefillAttention };
	const checked = checkOptions("policies.tova", options, checks);
	return makePolicy({ name: "tova", ...withScope(checked), budget: checkBudget(checked.budget) });
}
