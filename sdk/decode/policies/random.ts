// The control: evicts at random among what PagedEviction might evict. A method that does not beat it has shown nothing.

import { checkOptions, integer, optional } from "../../options.js";
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

/** Options of `policies.random`. */
export interface RandomOptions
	extends BudgetOptions,
		ScopeOptions,
		PrefillAttentionOptions,
		TokenFormOptions,
		HeadsOptions {
	/** Key of the counter-based generator, from 0 to 2^53 - 1. Default: the session's seed. */
	seed?: number;
}

/**
 * Evicts uniformly among unprotected tokens (prefill) and blocks or tokens (decode); the choice depends on seed, layer, head
 * and step only, so that a replay evicts the same.
 *
 * @throws {OctavoError} ERR_OCTAVO_BUDGET for a budget that is no positive whole number; a session checks the rest
 * @throws {OctavoError} ERR_OCTAVO_OPTION for an unknown option
 */
export function random(options: RandomOptions): Policy {
	const checked = withScope(
		checkOptions("policies.random", options, {
			budget: checkBudget,
			seed: optional(integer(0, Number.MAX_SAFE_INTEGER, 0)),
			...tokenFormChecks,
			scope,
			prefillAttention,
			...headsChecks,
		}),
	);
	checkTokenForm("policies.random", checked);
	return makePolicy({ name: "random", ...checked });
}
