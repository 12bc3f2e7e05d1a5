// TOVA: what the newest query attends to least goes. Computes that query's attention once more when a block is full.

import { OctavoError } from "../../errors.js";
import { boolean, checkOptions, optional } from "../../options.js";
import { type BudgetOptions, checkBudget } from "./budget.js";
import { makePolicy, type Policy } from "./policy.js";
import { fullPrefillAttention, type ScopeOptions, scope, withScope } from "./scope.js";
import { checkTokenForm, type TokenFormOptions, tokenFormChecks } from "./token-form.js";

/** Options of `policies.tova`. */
export interface TovaOptions extends BudgetOptions, ScopeOptions, TokenFormOptions {
	/** Only with tokens: whether the newest tokens (of a prompt its last block's) stay whatever their scores. Default true. */
	protectNewest?: boolean;
}

/**
 * Keeps what the newest query attends to most, averaged over query heads; in decode the block with the lowest mean goes
 * once the newest is full, or in each step the token with the lowest.
 *
 * @throws {OctavoError} ERR_OCTAVO_BUDGET for a budget that is no positive whole number; a session checks the rest
 * @throws {OctavoError} ERR_OCTAVO_OPTION for an unknown option
 * Source: arXiv:2401.06104 (TOVA).
 * Differs: unless told otherwise decode evicts a whole block each time the newest is full, and the newest tokens are
 * protected; the cut comes before attention, so a token that is dropped as it comes is not seen by its own query; the prompt
 * is cut once, by its last query; the first block is protected.
 */
export function tova(options: TovaOptions): Policy {
	const checked = withScope(
		checkOptions("policies.tova", options, {
			budget: checkBudget,
			protectNewest: optional(boolean(true)),
			...tokenFormChecks,
			scope,
			prefillAttention: fullPrefillAttention,
		}),
	);
	checkTokenForm("policies.tova", checked);
	if (checked.protectNewest === false && checked.granularity !== "token") {
		const expected = `true, or granularity "token",`;
		throw new OctavoError(
			"ERR_OCTAVO_OPTION",
			`Expected ${expected} for protectNewest of policies.tova but received false`,
		);
	}
	return makePolicy({ name: "tova", ...checked });
}
