// Records without filler, as in a JSON object of random keys and values: every token matters, so whatever is evicted is
// missed. It checks an evaluation: a score far above the share kept would mean that evicted tokens were seen.

import { checkOptions, integer } from "../../options.js";
import { askAbout, drawSymbols, layOut, type RecallPrompt } from "./context.js";
import { SeededRandom } from "./random.js";

/** Options of `tasks.lookup`. */
export interface LookupOptions {
	/** Key of every random choice, from 0 to 2^53 - 1. Default 0. */
	seed?: number;
	/** Records, each 4 tokens; from 1 to 42, as no symbol is in two places. Default 16, a context of 65 tokens. */
	numRecords?: number;
	/** Queries; from 0. Default 6. */
	numQueries?: number;
}

/**
 * Makes a prompt of BOS and records alone.
 *
 * @throws {OctavoError} ERR_OCTAVO_OPTION for an unknown option or one out of range
 */
export function lookup(options: LookupOptions = {}): RecallPrompt {
	const { seed, numRecords, numQueries } = checkOptions("tasks.lookup", options, {
		seed: integer(0, Number.MAX_SAFE_INTEGER, 0),
		numRecords: integer(1, 42, 16),
		numQueries: integer(0, 2 ** 16, 6),
	});
	const random = new SeededRandom(seed);
	const symbols = drawSymbols(random, numRecords);
	return askAbout(random, layOut([], symbols, new Set(symbols.keys())), numQueries);
}
