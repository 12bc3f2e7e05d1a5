// StreamingLLM: the first tokens (the attention sinks) and the most recent ones stay. Needs no scores.

import { checkOptions, integer, oneOf, optional } from "../../options.js";
import { type BudgetOptions, checkBudget } from "./budget.js";
import { makePolicy, type Policy } from "./policy.js";
import { type PrefillAttentionOptions, prefillAttention, type ScopeOptions, scope, withScope } from "./scope.js";
import { checkTokenForm, type TokenFormOptions, tokenFormChecks } from "./token-form.js";

/** Options of `policies.streamingLlm`. */
export interface StreamingLlmOptions extends BudgetOptions, ScopeOptions, PrefillAttentionOptions, TokenFormOptions {
	/**
	 * First tokens that stay; they leave at least a block of the budget. As blocks: whole ones, and they leave two.
	 * Default: one block; as tokens 4, or a block where that is less.
	 */
	sinks?: number;
	/**
	 * Where kept keys stand to the query. `original`: where they were seen. `reassigned`: at their place in the cache, as if
	 * what was dropped had never been; sinks then follow the window closely, and decode may go on beyond the model's
	 * `maxPositions`. The query keeps the position of its token, and it is the keys before a gap that are rotated towards
	 * it: RoPE knows differences only. A prompt attends before it is cut, so with original positions. Default `original`.
	 */
	positions?: "original" | "reassigned";
}

/**
 * Keeps the first tokens and the most recent ones; in decode the oldest block or token after the first ones goes.
 *
 * @throws {OctavoError} ERR_OCTAVO_BUDGET for a budget that is no positive whole number; a session checks the rest
 * @throws {OctavoError} ERR_OCTAVO_OPTION for an unknown option
 * Source: arXiv:2309.17453 (StreamingLLM).
 * Differs: as blocks, sinks and window are counted in blocks; kept keys hold their original positions unless told otherwise.
 */
export function streamingLlm(options: StreamingLlmOptions): Policy {
	const checked = withScope(
		checkOptions("policies.streamingLlm", options, {
			budget: checkBudget,
			sinks: optional(integer(0, 2 ** 31 - 1, 0)),
			positions: optional(oneOf(["original", "reassigned"], "original")),
			...tokenFormChecks,
			scope,
			prefillAttention,
		}),
	);
	checkTokenForm("policies.streamingLlm", checked);
	return makePolicy({ name: "streaming-llm", ...checked });
}
