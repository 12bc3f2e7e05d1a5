// StreamingLLM: the first tokens (the attention sinks) and the most recent ones stay. Needs no scores.

import { anything, checkOptions, integer, optional } from "../../options.js";
import { checkBudget } from "./budget.js";
import { makePolicy, type Policy } from "./policy.js";
import { type PrefillAttentionOptions, prefillAttention, type ScopeOptions, scope, withScope } from "./scope.js";
import { checkTokenForm, type TokenFormOptions, tokenFormChecks } from "./token-form.js";

/** Options of `policies.streamingLlm`. */
export interface StreamingLlmOptions extends ScopeOptions, PrefillAttentionOptions, TokenFormOptions {
	/** KV tokens kept per sequence and layer; a multiple of the session's `blockSize`, at least three blocks. */
	budget: number;
	/**
	 * First tokens that stay; they leave at least a block of the budget. As blocks: whole ones, and they leave two.
	 * Default: one block; as tokens 4, or a block where that is less.
	 */
	sinks?: number;
}

/**
 * Keeps the first tokens and the most recent ones; in decode the oldest block or token after the first ones goes.
 *
 * @throws {OctavoError} ERR_OCTAVO_BUDGET for a budget that is no positive whole number; a session checks the rest
 * @throws {OctavoError} ERR_OCTAVO_OPTION for an unknown option
 * Source: arXiv:2309.17453 (StreamingLLM).
 * Differs: as blocks, sinks and window are counted in blocks; kept keys hold their original positions.
 */
export function streamingLlm(options: StreamingLlmOptions): Policy {
	const checked = withScope(
		checkOptions("policies.streamingLlm", options, {
			budget: anything,
			sinks: optional(integer(0, 2 ** 31 - 1, 0)),
			...tokenFormChecks,
			scope,
			prefillAttention,
		}),
	);
	checkTokenForm("policies.streamingLlm", checked);
	return makePolicy({ name: "streaming-llm", ...checked, budget: checkBudget(checked.budget) });
}
