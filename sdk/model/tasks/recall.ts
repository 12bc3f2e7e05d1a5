// The recall task of recall-tiny: records `REC key v1 v2` hidden in filler, then queries `QRY key` to be answered with
// v1 v2.

import { OctavoError } from "../../errors.js";
import { checkOptions, integer, oneOf } from "../../options.js";
import { askAbout, drawSymbols, type FillerKind, layOut, makeFiller, type RecallPrompt } from "./context.js";
import { SeededRandom } from "./random.js";

/** Options of `tasks.recall`. */
export interface RecallOptions {
	/** Key of every random choice, from 0 to 2^53 - 1. Default 0. */
	seed?: number;
	/** Tokens of context, BOS and records among them; from 1 + 4 a record. Default 128, the longest the model was trained on. */
	contextLength?: number;
	/** Records in the context, each 4 tokens; from 1 to 42, as no symbol is in two places. Default 6. */
	numRecords?: number;
	/** Queries; from 0. Default 6. */
	numQueries?: number;
	/** Default `uniform`. */
	filler?: FillerKind;
}

/**
 * Makes a recall prompt.
 *
 * @throws {OctavoError} ERR_OCTAVO_OPTION for an unknown option, or a context too short for its records
 */
export function recall(options: RecallOptions = {}): RecallPrompt {
	const { seed, contextLength, numRecords, numQueries, filler } = checkOptions("tasks.recall", options, {
		seed: integer(0, Number.MAX_SAFE_INTEGER, 0),
		contextLength: integer(5, 2 ** 20, 128),
		numRecords: integer(1, 42, 6),
		numQueries: integer(0, 2 ** 16, 6),
		filler: oneOf(["uniform", "markov"], "uniform"),
	});
	const numFiller = contextLength - 1 - 4 * numRecords;
	if (numFiller < 0) {
		throw new OctavoError(
			"ERR_OCTAVO_OPTION",
			`Expected at least ${1 + 4 * numRecords} tokens (BOS and ${numRecords} records) for contextLength but received ${contextLength}`,
		);
	}
	const random = new SeededRandom(seed);
	const symbols = drawSymbols(random, numRecords);
	// Items in the context are records and single filler tokens; a record may take any item's place.
	const items = Array.from({ length: numFiller + numRecords }, (_, i) => i);
	const places = new Set(random.sample(items, numRecords));
	return askAbout(random, layOut(makeFiller(random, filler, numFiller), symbols, places), numQueries);
}
