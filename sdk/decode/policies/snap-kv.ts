// SnapKV: the prompt's last queries choose what of it stays. It cuts the prompt only: in decode the cache grows.

import { anything, checkOptions, integer, optional } from "../../options.js";
import { checkBudget } from "./budget.js";
import { makePolicy, type Policy } from "./policy.js";

/** Options of `policies.snapKv`. */
export interface SnapKvOptions {
	/** Prompt tokens kept per layer; a multiple of the session's `blockSize`, at least three blocks. */
	budget: number;
	/**
	 * Last queries of the prompt, which score the tokens before them and stay themselves; from 1 to `budget - blockSize`.
	 * Default 32, or half the budget where that is less.
	 */
	window?: number;
}

/**
 * Keeps the prompt tokens to which its last `window` queries attend most, averaged over query heads and over five
 * neighbouring tokens, and the window. Nothing is evicted in decode: the cache grows by every token.
 *
 * @throws {OctavoError} ERR_OCTAVO_BUDGET for a budget that is no positive whole number; a session checks the rest
 * @throws {OctavoError} ERR_OCTAVO_OPTION for an unknown option
 * Source: arXiv:2404.14469 (SnapKV).
 * Differs: all heads of a layer share one choice; the first block and the last block's tokens are protected too.
 */
export function snapKv(options: SnapKvOptions): Policy {
	const { budget, window } = checkOptions("policies.snapKv", options, {
		budget: anything,
		window: optional(integer(1, 2 ** 31 - 1, 1)),
	});
	return makePolicy({ name: "snap-kv", budget: checkBudget(budget), window });
}
