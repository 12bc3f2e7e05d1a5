// Inverse key L2-norm: the shortest keys stay, as they draw the most attention. Needs no attention probabilities.

import { OctavoError, received } from "../../errors.js";
import { checkOptions, optional } from "../../options.js";
import { type BudgetOptions, checkBudget } from "./budget.js";
import { makePolicy, type Policy } from "./policy.js";
import { type PrefillAttentionOptions, prefillAttention, type ScopeOptions, scope, withScope } from "./scope.js";
import {
	checkTokenForm,
	type HeadsOptions,
	headsChecks,
	type TokenFormOptions,
	tokenFormChecks,
} from "./token-form.js";

/** Options of `policies.inverseKeyNorm`. */
export interface InverseKeyNormOptions
	extends BudgetOptions,
		ScopeOptions,
		PrefillAttentionOptions,
		TokenFormOptions,
		HeadsOptions {
	/** Layers that keep everything, and so grow. Default: none; the paper's code skips 0 and 1. */
	skipLayers?: readonly number[];
}

/**
 * Keeps tokens by the mean over KV heads of 1 / ‖K‖₂; in decode the block with the lowest mean goes once the newest is full,
 * or in each step the token with the lowest.
 *
 * @throws {OctavoError} ERR_OCTAVO_BUDGET for a budget that is no positive whole number; a session checks the rest
 * @throws {OctavoError} ERR_OCTAVO_OPTION for an unknown option
 * Source: arXiv:2406.11430 (Devoto et al.).
 * Differs: unless told otherwise all heads of a layer share one choice, all layers evict and decode evicts whole blocks; the
 * first block and the newest tokens (as tokens: the newest) are protected.
 */
export function inverseKeyNorm(options: InverseKeyNormOptions): Policy {
	const checked = withScope(
		checkOptions("policies.inverseKeyNorm", options, {
			budget: checkBudget,
			skipLayers: optional(layers),
			...tokenFormChecks,
			scope,
			prefillAttention,
			...headsChecks,
		}),
	);
	checkTokenForm("policies.inverseKeyNorm", checked);
	return makePolicy({ name: "inverse-key-norm", ...checked });
}

function layers(value: unknown, name: string): readonly number[] {
	const isLayer = (layer: unknown) => Number.isInteger(layer) && (layer as number) >= 0 && (layer as number) < 4096;
	const wrong = Array.isArray(value) ? value.findIndex((layer) => !isLayer(layer)) : 0;
	if (wrong < 0) return Object.freeze([...(value as number[])]);
	const [what, given] = Array.isArray(value)
		? [`a layer for ${name}[${wrong}]`, value[wrong]]
		: [`an array of layers for ${name}`, value];
	throw new OctavoError("ERR_OCTAVO_OPTION", `Expected ${what} but received ${received(given)}`);
}
