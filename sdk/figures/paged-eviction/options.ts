// Checks and captions that the experiments share.

import { engineInfo } from "../../engine.js";
import { OctavoError, received } from "../../errors.js";
import type { Model } from "../../load-model.js";
import { anything, type Check, instanceOf, integer, oneOf } from "../../options.js";
import type { Contender } from "./contenders.js";

function arrayOf<T>(what: string, holds: (value: unknown) => boolean): Check<readonly T[] | undefined> {
	return (value, name) => {
		if (value === undefined) return undefined;
		if (Array.isArray(value) && value.length > 0 && value.every(holds)) return value as T[];
		throw new OctavoError("ERR_OCTAVO_OPTION", `Expected ${what} for ${name} but received ${received(value)}`);
	};
}

/** Budgets in tokens. */
export const budgetList = arrayOf<number>("an array of positive whole numbers", (value) => {
	return Number.isInteger(value) && (value as number) > 0;
});

/** Policies under comparison. */
export const contenderList = arrayOf<Contender>("an array of { name, policy(budget, seed) }", (value) => {
	const { name, policy } = (value ?? {}) as Partial<Contender>;
	return typeof name === "string" && typeof policy === "function";
});

/** Checks that every experiment shares. */
export function sharedChecks(numPrompts: number) {
	return {
		numPrompts: integer(1, 1e6, numPrompts),
		firstSeed: integer(0, 2 ** 40, 1000),
		onProgress: anything as Check<((done: number, total: number) => void) | undefined>,
		signal: instanceOf(AbortSignal),
	};
}

/** Those, and what most add. */
export function experimentChecks(numPrompts: number) {
	return {
		...sharedChecks(numPrompts),
		task: oneOf(["recall", "needle", "lookup"], "recall"),
		blockSize: integer(1, 256, 8),
		budgets: budgetList,
		policies: contenderList,
	};
}

/** Where an experiment was measured, and what it is not. */
export function measuredOn(model: Model): string {
	return `Measured with ${model.name} on this machine's CPU (${engineInfo().simd}), exact match of both tokens. A stand-in task on a small model: mechanism, not the paper's ranking.`;
}
