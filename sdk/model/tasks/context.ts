// What the tasks of recall-tiny share: its vocabulary, records hidden in a context, and questions about them. Keys and
// values of a context are all different symbols.

import type { SeededRandom } from "./random.js";

/** The vocabulary's parts. Symbols serve as keys and as values; ends are exclusive. */
export const recallTokens = Object.freeze({ bos: 1, rec: 2, qry: 3, symbols: [16, 144], filler: [144, 256] } as const);

/** A record of the context. */
export interface RecallRecord {
	/** Index of its REC token in the context. */
	position: number;
	/** Token of the key. */
	key: number;
	/** Tokens of the two values. */
	values: [number, number];
}

/** A question and its answer. */
export interface RecallQuery {
	/** QRY and the key: feed it, then read two predictions. */
	tokens: Int32Array;
	/** Token asked for. */
	key: number;
	/** The two tokens to predict. */
	answer: [number, number];
	/** Index in `records` of the record asked for. */
	recordIndex: number;
}

/** A prompt: a context with records in it, and questions to ask afterwards. */
export interface RecallPrompt {
	/** BOS, filler and records: [length of the context]. */
	context: Int32Array;
	/** Where each record stands, and what it says. */
	records: RecallRecord[];
	/** Questions about the records, with their answers. */
	queries: RecallQuery[];
	/** The context and all queries with their answers: [length of the context + 4 · number of queries]. */
	tokens: Int32Array;
}

/** Filler: uniform, or a Markov chain with 4 likely successors a token and 10 % noise. */
export type FillerKind = "uniform" | "markov";

/** Draws filler tokens. */
export function makeFiller(random: SeededRandom, kind: FillerKind, length: number): number[] {
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

/** Draws the symbols of records: a key and two values each, no symbol twice. */
export function drawSymbols(random: SeededRandom, numRecords: number): [number, number, number][] {
	const [low, high] = recallTokens.symbols;
	const all = Array.from({ length: high - low }, (_, i) => low + i);
	const drawn = random.sample(all, 3 * numRecords);
	return Array.from({ length: numRecords }, () => drawn.splice(0, 3) as [number, number, number]);
}

/** Lays out BOS, filler and records: a record begins wherever `places` has the index of an item, filler tokens and records counted alike. */
export function layOut(
	fillers: readonly number[],
	symbols: readonly (readonly [number, number, number])[],
	places: ReadonlySet<number>,
): { context: number[]; records: RecallRecord[] } {
	const context: number[] = [recallTokens.bos];
	const records: RecallRecord[] = [];
	let nextFiller = 0;
	for (let item = 0; item < fillers.length + symbols.length; item++) {
		if (!places.has(item)) {
			context.push(fillers[nextFiller++]!);
			continue;
		}
		const [key, ...values] = symbols[records.length]!;
		records.push({ position: context.length, key, values });
		context.push(recallTokens.rec, key, ...values);
	}
	return { context, records };
}

/** Asks about records drawn with replacement: a permutation would let the last answers be guessed. */
export function askAbout(
	random: SeededRandom,
	{ context, records }: { context: readonly number[]; records: RecallRecord[] },
	numQueries: number,
): RecallPrompt {
	const { qry } = recallTokens;
	const queries = Array.from({ length: numQueries }, (): RecallQuery => {
		const recordIndex = random.integer(0, records.length);
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
