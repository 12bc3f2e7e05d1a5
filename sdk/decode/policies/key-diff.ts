// KeyDiff: keys that point away from the mean direction of all live keys stay. Needs no attention probabilities.

import { checkOptions } from "../../options.js";
import { type BudgetOptions, checkBudget } from "./budget.js";
import { makePolicy, type Policy } from "./policy.js";
import { type PrefillAttentionOptions, prefillAttention, type ScopeOptions, scope, withScope } from "./scope.js";
import {
	checkTokenForm,
	type HeadsOptions,
	headsChecks,
	type TokenFormOptions,
	tokenFormChecks,
} from "./token-form.js";

/** Options of `policies.keyDiff`. */
export interface KeyDiffOptions
	extends BudgetOptions,
		ScopeOptions,
		PrefillAttentionOptions,
		TokenFormOptions,
		HeadsOptions {}

/**
 * Keeps tokens by minus the cosine between their key and the mean direction of all live keys of a KV head, averaged over
 * heads; in decode all blocks are scored anew, by the mean over their tokens, once the newest is full, or all tokens in
 * each step.
 *
 * @throws {OctavoError} ERR_OCTAVO_BUDGET for a budget that is no positive whole number; a session checks the rest
 * @throws {OctavoError} ERR_OCTAVO_OPTION for an unknown option
 * Source: arXiv:2504.15364 (KeyDiff).
 * Differs: unless told otherwise all heads of a layer share one choice and decode evicts whole blocks; the prompt is cut once
 * at its end; the first block and the newest tokens (as tokens: the newest) are protected.
 */
export function keyDiff(options: KeyDiffOptions): Policy {
	const checked = withScope(
		checkOptions("policies.keyDiff", options, {
			budget: checkBudget,
			...tokenFormChecks,
			scope,
			prefillAttention,
			...headsChecks,
		}),
	);
	checkTokenForm("policies.keyDiff", checked);
	return makePolicy({ name: "key-diff", ...checked });
}
