// SnapKV: the prompt's last queries choose what of it stays. It cuts the prompt only: in decode the cache grows.

import { OctavoError, received } from "../../errors.js";
import { checkOptions, integer, oneOf, optional } from "../../options.js";
import { type Budget, checkBudget } from "./budget.js";
import { makePolicy, type Policy } from "./policy.js";
import { fullPrefillAttention, type ScopeOptions, scope, withScope } from "./scope.js";
import { checkTokenForm, type HeadsOptions, headsChecks } from "./token-form.js";

/** Options of `policies.snapKv`. */
export interface SnapKvOptions extends HeadsOptions, ScopeOptions {
	/**
	 * Prompt tokens kept per layer; a multiple of the session's `blockSize`, at least three blocks. An array has one for
	 * each layer of the model, and goes with `scope: "per-layer"` alone.
	 */
	budget: Budget;
	/**
	 * Last queries of the prompt, which score the tokens before them and stay themselves; from 1 to `budget - blockSize`.
	 * Default 32, or half the budget where that is less.
	 */
	window?: number;
	/** Neighbouring tokens whose scores are pooled, the token in the middle; odd, from 1. Default 5; 1 pools nothing. */
	poolingWidth?: number;
	/** `avg`: the mean over neighbours, with zeros beyond the ends, so that edges shrink; `max`: the largest. Default `avg`. */
	pooling?: "avg" | "max";
}

const oddWidth = (value: unknown, name: string) => {
	const width = integer(1, 2 ** 31 - 1, 5)(value, name);
	if (width % 2 === 1) return width;
	throw new OctavoError("ERR_OCTAVO_OPTION", `Expected an odd number for ${name} but received ${received(value)}`);
};

/**
 * Keeps the prompt tokens to which its last `window` queries attend most, averaged over query heads and pooled over
 * neighbouring tokens, and the window. Nothing is evicted in decode: the cache grows by every token.
 *
 * @throws {OctavoError} ERR_OCTAVO_BUDGET for a budget that is no positive whole number; a session checks the rest
 * @throws {OctavoError} ERR_OCTAVO_OPTION for an unknown option
 * Source: arXiv:2404.14469 (SnapKV).
 * Differs: all heads of a layer share one choice unless told otherwise; the first block and the last block's tokens are protected too.
 */
export function snapKv(options: SnapKvOptions): Policy {
	const checked = withScope(
		checkOptions("policies.snapKv", options, {
			budget: checkBudget,
			window: optional(integer(1, 2 ** 31 - 1, 1)),
			poolingWidth: optional(oddWidth),
			pooling: optional(oneOf(["avg", "max"], "avg")),
			...headsChecks,
			scope,
			prefillAttention: fullPrefillAttention,
		}),
	);
	checkTokenForm("policies.snapKv", checked);
	return makePolicy({ name: "snap-kv", ...checked });
}
