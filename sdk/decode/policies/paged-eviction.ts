// PagedEviction: drops whole blocks by the norms of their values and keys. The scores and the choice are native; this
// is the method's face, its options and their defaults.

import type { PolicySpec } from "../../../native/addon.js";
import { checkOptions, oneOf } from "../../options.js";
import { type BudgetOptions, checkBudget } from "./budget.js";
import { makePolicy, type Policy } from "./policy.js";
import { type PrefillAttentionOptions, prefillAttention, type ScopeOptions, scope, withScope } from "./scope.js";
import { checkTokenForm, type HeadsOptions, headsChecks } from "./token-form.js";

/** Options of `policies.pagedEviction`. */
export interface PagedEvictionOptions extends BudgetOptions, HeadsOptions, ScopeOptions, PrefillAttentionOptions {
	/** A token's score, reduced over KV heads; higher is kept. Default `value-key-ratio`: the mean of ‖V‖₂ / ‖K‖₂. */
	score?: NonNullable<PolicySpec["score"]>;
	/** Blocks that may go in decode: all unprotected ones, or the oldest three of them. Default `global`. */
	candidates?: NonNullable<PolicySpec["candidates"]>;
	/**
	 * Tokens protected at the prompt's end: `page` keeps exactly the budget, `page+remainder` keeps the last block and
	 * the remainder beyond it. Default `page`.
	 */
	tailProtect?: NonNullable<PolicySpec["tailProtect"]>;
}

/**
 * Evicts the lowest-scoring tokens of a prompt beyond the budget, then, in decode, the lowest-scoring block of a layer
 * once its newest block is full. The first and the newest block are never evicted.
 *
 * @throws {OctavoError} ERR_OCTAVO_BUDGET for a budget that is no positive whole number; a session checks the rest
 * @throws {OctavoError} ERR_OCTAVO_OPTION for an unknown option or value
 * Source: arXiv:2509.04377 (PagedEviction), prefill and decode phases.
 * Differs: on equal scores the older token or block goes first; a NaN score counts as infinite, so that it is kept.
 */
export function pagedEviction(options: PagedEvictionOptions): Policy {
	const checked = withScope(
		checkOptions("policies.pagedEviction", options, {
			budget: checkBudget,
			score: oneOf(
				["value-key-ratio", "value-key-ratio-of-means", "value-norm", "inverse-key-norm", "key-value-norm-sum"],
				"value-key-ratio",
			),
			candidates: oneOf(["global", "local"], "global"),
			tailProtect: oneOf(["page", "page+remainder"], "page"),
			...headsChecks,
			scope,
			prefillAttention,
		}),
	);
	checkTokenForm("policies.pagedEviction", checked);
	return makePolicy({ name: "paged-eviction", ...checked });
}
