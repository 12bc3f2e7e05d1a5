// The recall task of recall-tiny: records `REC key v1 v2` hidden in filler, then queries `QRY key` to be answered with
// v1 v2. Keys and values of a context are all different symbols. Queries are drawn with replacement, as in training: a
// permutation would let the last ones be guessed.

import { OctavoError } from "../../errors.js";
import { checkOptions, integer, oneOf } from "../../options.js";
import { SeededRandom } from "./random.js";

/** The vocabulary's parts. Symbols serve as keys and as values; ends are exclusive. */
export const recallTokens = Object.freeze({ bos: 1, rec: 2, qry: 3, symbols: [16, 144], filler: [144, 256] } as const);

/** Options of `tasks.recall`. */
export interface RecallOptions {
	/** Key of every random choice, from 0 to 2^53 - 1. Default 0. */
	seed?: number;
	/** Tokens of context, BOS and records among them. Default 128, the longest the model was trained on. */
	contextLength?: number;
	/** Records in the context, each 4 tokens; from 1 to 42, as no symbol is in two places. Default 6. */
	numRecords?: number;
	/** Queries; from 0. Default 6. */
	numQueries?: number;
	/** Filler: uniform, or a Markov chain with 4 likely successors a token and 10 % noise. Default `uniform`. */
	filler?: "uniform" | "markov";
}

/** A record of the context. */
export interface RecallRecord {
	/** Index of its REC token in the context. */
	position: number;
	key: number;
	values: [number, number];
}

/** A question and its answer. */
export interface RecallQuery {
	/** QRY and the key: feed it, then read two predictions. */
	tokens: Int32Array;
	key: number;
	/** The two tokens to predict. */
	answer: [number, number];
	/** Index in `records` of the record asked for. */
	recordIndex: number;
}

/** A prompt of the recall task. */
export interface RecallPrompt {
	/** BOS, filler and records: [contextLength]. */
	context: Int32Array;
	records: RecallRecord[];
	queries: RecallQuery[];
	/** The context and all queries with their answers: [contextLength + 4 · numQueries]. */
	tokens: Int32Array;
}

function makeFiller(random: SeededRandom, kind: "uniform" | "markov", length: number): number[] {
	const [low, high] = recallTokens.filler;
	const uniform = () => random.integer(low, high);
	if (kind === "uniform") return Array.from({ length }, uniform);
	const successors = Array.from({ length: high - low }, () => Array.from({ length: 4 }, uniform));
	let token = uniform();
	return Array.from({ length }, () => {
		const current = token;
		token = random.next() < 0.1 ? uniform() : successors[current - low]![random.integer(0, 4)]!;
		return current;
	});
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
	const { bos, rec, qry } = recallTokens;
	const [low, high] = recallTokens.symbols;
	const allSymbols = Array.from({ length: high - low }, (_, i) => low + i);
	const drawn = random.sample(allSymbols, 3 * numRecords);
	// Items in the context are records and single filler tokens; a record may take any item's place.
	const items = Array.from({ length: numFiller + numRecords }, (_, i) => i);
	const places = new Set(random.sample(items, numRecords));
	const fillers = makeFiller(random, filler, numFiller);
	const context: number[] = [bos];
	const records: RecallRecord[] = [];
	for (const item of items) {
		if (!places.has(item)) {
			context.push(fillers.shift()!);
			continue;
		}
		const [key, ...values] = drawn.splice(0, 3) as [number, number, number];
		records.push({ position: context.length, key, values });
		context.push(rec, key, ...values);
	}
	const queries = Array.from({ length: numQueries }, (): RecallQuery => {
		const recordIndex = random.integer(0, numRecords);
		const { key, values } = records[recordIndex]!;
		return { tokens: Int32Array.of(qry, key), key, answer: values, recordIndex };
	});
	return {
		context: Int32Array.from(context),
		records,
		queries,
		tokens: Int32Array.from([...context, ...queries.flatMap(({ key, answer }) => [qry, key, ...answer])]),
	};
}
