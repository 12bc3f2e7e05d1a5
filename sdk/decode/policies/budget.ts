// The check of a budget that every evicting policy shares. Whether it fits the block size is known only once a session
// is made, and checked there.

import { OctavoError, received } from "../../errors.js";

/** The option of every policy that evicts in decode. */
export interface BudgetOptions {
	/** KV tokens kept per sequence and layer; a multiple of the session's `blockSize`, at least three blocks. */
	budget: number;
}

/**
 * @throws {OctavoError} ERR_OCTAVO_BUDGET unless `budget` is a positive whole number
 */
export function checkBudget(budget: unknown): number {
	if (Number.isInteger(budget) && (budget as number) > 0 && (budget as number) < 2 ** 31) return budget as number;
	throw new OctavoError(
		"ERR_OCTAVO_BUDGET",
		`Expected a positive whole number of tokens for budget but received ${received(budget)}`,
	);
}

/**
 * Checks a budget against the block size of a session.
 *
 * @throws {OctavoError} ERR_OCTAVO_BUDGET unless it is a multiple of `blockSize` and at least three blocks
 */
export function checkBudgetFits(budget: number, blockSize: number): void {
	if (budget % blockSize !== 0) {
		throw new OctavoError(
			"ERR_OCTAVO_BUDGET",
			`Expected a multiple of blockSize (${blockSize}) for budget but received ${budget}`,
		);
	}
	// The first and the newest block are protected: with fewer than three there is nothing to evict.
	if (budget < 3 * blockSize) {
		throw new OctavoError(
			"ERR_OCTAVO_BUDGET",
			`Expected at least three blocks (${3 * blockSize} tokens) for budget but received ${budget}`,
		);
	}
}
