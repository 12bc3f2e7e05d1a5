// One record in filler, at a depth that the caller sets: where in the prompt does a policy forget? Stands in for passkey
// retrieval.

import { checkOptions, integer, number, oneOf } from "../../options.js";
import { askAbout, drawSymbols, type FillerKind, layOut, makeFiller, type RecallPrompt } from "./context.js";
import { SeededRandom } from "./random.js";

/** Options of `tasks.needle`. */
export interface NeedleOptions {
	/** Key of every random choice, from 0 to 2^53 - 1. Default 0. */
	seed?: number;
	/** Tokens of context, BOS and the record among them; from 5. Default 128, the longest the model was trained on. */
	contextLength?: number;
	/** Where the record is, from 0 (right after BOS) to 1 (at the end). Default 0.5. */
	depth?: number;
	/** Default `uniform`. */
	filler?: FillerKind;
}

/**
 * Makes a prompt with one record and one query.
 *
 * @throws {OctavoError} ERR_OCTAVO_OPTION for an unknown option or one out of range
 */
export function needle(options: NeedleOptions = {}): RecallPrompt {
	const { seed, contextLength, depth, filler } = checkOptions("tasks.needle", options, {
		seed: integer(0, Number.MAX_SAFE_INTEGER, 0),
		contextLength: integer(5, 2 ** 20, 128),
		depth: number(0, 1, 0.5),
		filler: oneOf(["uniform", "markov"], "uniform"),
	});
	const random = new SeededRandom(seed);
	const symbols = drawSymbols(random, 1);
	const numFiller = contextLength - 5;
	const place = Math.round(depth * numFiller);
	return askAbout(random, layOut(makeFiller(random, filler, numFiller), symbols, new Set([place])), 1);
}
