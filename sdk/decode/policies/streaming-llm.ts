// StreamingLLM in its block form: the first block (the attention sinks) and the most recent blocks stay. Needs no scores.

import { anything, checkOptions } from "../../options.js";
import { checkBudget } from "./budget.js";
import { makePolicy, type Policy } from "./policy.js";
import { type PrefillAttentionOptions, prefillAttention, type ScopeOptions, scope, withScope } from "./scope.js";

/** Options of `policies.streamingLlm`. */
export interface StreamingLlmOptions extends ScopeOptions, PrefillAttentionOptions {
	/** KV tokens kept per sequence and layer; a multiple of the session's `blockSize`, at least three blocks. */
	budget: number;
}

/**
 * Keeps the first block and the most recent tokens; in decode the oldest block after the first goes.
 *
 * @throws {OctavoError} ERR_OCTAVO_BUDGET for a budget that is no positive whole number; a session checks the rest
 * @throws {OctavoError} ERR_OCTAVO_OPTION for an unknown option
 * Source: arXiv:2309.17453 (StreamingLLM).
 * Differs: sinks and window are counted in blocks, and kept keys hold their original positions.
 */
export function streamingLlm(options: StreamingLlmOptions): Policy {
	const checked = withScope(
		checkOptions("policies.streamingLlm", options, { budget: anything, scope, prefillAttention }),
	);
	return makePolicy({ name: "streaming-llm", ...checked, budget: checkBudget(checked.budget) });
}
