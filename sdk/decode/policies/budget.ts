// The check of a budget that every evicting policy shares. Whether it fits the block size is known only once a session
// is made, and checked there.

import { OctavoError, received } from "../../errors.js";

/** KV tokens kept per sequence: as many in each layer, or a number for each layer, from the first on. */
export type Budget = number | readonly number[];

/** The option of every policy that evicts in decode. */
export interface BudgetOptions {
	/**
	 * KV tokens kept per sequence and layer; a multiple of the session's `blockSize`, at least three blocks. An array has
	 * one for each layer of the model, and goes with `scope: "per-layer"` alone; see `policies.pyramidBudget`.
	 */
	budget: Budget;
}

function checkTokens(budget: unknown, name: string): number {
	if (Number.isInteger(budget) && (budget as number) > 0 && (budget as number) < 2 ** 31) return budget as number;
	throw new OctavoError(
		"ERR_OCTAVO_BUDGET",
		`Expected a positive whole number of tokens for ${name} but received ${received(budget)}`,
	);
}

/**
 * @returns a frozen copy of an array
 * @throws {OctavoError} ERR_OCTAVO_BUDGET unless `budget` is a positive whole number, or an array of at least one
 */
export function checkBudget(budget: unknown): Budget {
	if (!Array.isArray(budget)) return checkTokens(budget, "budget");
	if (budget.length > 0) return Object.freeze(Array.from(budget, (each, i) => checkTokens(each, `budget[${i}]`)));
	throw new OctavoError("ERR_OCTAVO_BUDGET", "Expected a budget for each layer but received an empty array");
}

/** Budgets as a list: one for all layers, or one for each. */
export const budgetList = (budget: Budget): readonly number[] => (typeof budget === "number" ? [budget] : budget);

/**
 * Checks a budget, or each layer's, against the block size of a session and its model's layers.
 *
 * @throws {OctavoError} ERR_OCTAVO_BUDGET unless it is a multiple of `blockSize` and at least three blocks, and an array has
 * one for each layer
 */
export function checkBudgetFits(budget: Budget, blockSize: number, numLayers: number): void {
	if (typeof budget === "object" && budget.length !== numLayers) {
		const expected = `a budget for each of the ${numLayers} layers`;
		throw new OctavoError("ERR_OCTAVO_BUDGET", `Expected ${expected} but received ${budget.length}`);
	}
	for (const [layer, tokens] of budgetList(budget).entries()) {
		const name = typeof budget === "number" ? "budget" : `budget[${layer}]`;
		if (tokens % blockSize !== 0) {
			throw new OctavoError(
				"ERR_OCTAVO_BUDGET",
				`Expected a multiple of blockSize (${blockSize}) for ${name} but received ${received(tokens)}`,
			);
		}
		// The first and the newest block are protected: with fewer than three there is nothing to evict.
		if (tokens < 3 * blockSize) {
			throw new OctavoError(
				"ERR_OCTAVO_BUDGET",
				`Expected at least three blocks (${3 * blockSize} tokens) for ${name} but received ${received(tokens)}`,
			);
		}
	}
}
