// Budgets that fall from layer to layer, as PyramidKV gives them out: lower layers attend to many tokens, upper ones to few.
// Which tokens a layer keeps is the policy's business: PyramidKV itself takes SnapKV's.

import { OctavoError } from "../../errors.js";
import { checkOptions, integer, number, required } from "../../options.js";
import { checkBudgetFits } from "./budget.js";

/** Options of `policies.pyramidBudget`. */
export interface PyramidBudgetOptions {
	/** Layers of the model: `model.config.numLayers`; from 1. */
	numLayers: number;
	/** Slots per block of the session, from 1 to 256. */
	blockSize: number;
	/** KV tokens kept per layer on average; a multiple of `blockSize`, at least three blocks. */
	mean: number;
	/**
	 * How much less the last layer keeps: its share of the mean is 1 / beta, beyond the window; at least 1, which makes all
	 * layers equal. Default 20, as in the paper's code.
	 */
	beta?: number;
	/** Tokens that every layer keeps before the rest is given out, from 0 to `mean`: the newest ones of SnapKV. Default 0. */
	window?: number;
}

/**
 * A budget for each layer, falling evenly from the first to the last: with `rest = mean - window` the last layer has
 * `window + rest / beta`, the first `window + 2 * rest - rest / beta`, and those between lie on the line. Each is rounded to whole
 * blocks, at least three, and what that adds or takes is evened out from the widest layer on, so that the sum is
 * `numLayers * mean`.
 *
 * @returns KV tokens of each layer, frozen; the `budget` of any policy
 * @throws {OctavoError} ERR_OCTAVO_OPTION naming the option; ERR_OCTAVO_BUDGET for a mean that does not fit the block size
 *
 * @example
 * ```ts
 * import { loadModel, policies } from "octavo";
 * const model = await loadModel();
 * const budget = policies.pyramidBudget({ numLayers: model.config.numLayers, blockSize: 8, mean: 64 });
 * console.log(budget.join(" "));   // 104 88 40 24
 * using session = model.session({ blockSize: 8, policy: policies.snapKv({ budget, window: 8 }) });
 * ```
 * Source: arXiv:2406.02069 (PyramidKV), the arithmetic sequence of its cache sizes over layers, with its hyperparameter β.
 * Differs: whole blocks, at least three a layer, and an exact sum; no layer is held to the length of the prompt.
 */
export function pyramidBudget(options: PyramidBudgetOptions): readonly number[] {
	const { numLayers, blockSize, mean, beta, window } = checkOptions("policies.pyramidBudget", options, {
		numLayers: required(integer(1, 2 ** 12, 1)),
		blockSize: required(integer(1, 256, 1)),
		mean: required(integer(1, 2 ** 31 - 1, 1)),
		beta: number(1, null, 20),
		window: integer(0, 2 ** 31 - 1, 0),
	});
	checkBudgetFits(mean, blockSize, numLayers);
	if (window > mean) {
		const message = `Expected a whole number from 0 to mean (${mean}) for window but received ${window}`;
		throw new OctavoError("ERR_OCTAVO_OPTION", message);
	}
	const last = (mean - window) / beta;
	const first = 2 * (mean - window) - last;
	const fall = numLayers === 1 ? 0 : (first - last) / (numLayers - 1);
	const blocks = Array.from({ length: numLayers }, (_, layer) => {
		const tokens = numLayers === 1 ? mean : window + first - fall * layer;
		return Math.max(3, Math.round(tokens / blockSize));
	});
	let surplus = blocks.reduce((sum, each) => sum + each, 0) - (numLayers * mean) / blockSize;
	// From the widest layer on, the lower one of equals: it is where a block weighs least.
	for (; surplus !== 0; surplus -= Math.sign(surplus)) {
		const widest = surplus > 0 ? blocks.lastIndexOf(Math.max(...blocks)) : blocks.indexOf(Math.max(...blocks));
		blocks[widest]! -= Math.sign(surplus);
	}
	return Object.freeze(blocks.map((each) => each * blockSize));
}
