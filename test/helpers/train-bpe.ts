// Trains a byte-level BPE tokenizer on a text and writes it as tokenizer.json, with a plain encoder of its own: what the
// library's tokens are compared with.

/** Splits text into words as GPT-2's tokenizer does. */
const wordPattern = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/** Characters that stand for the bytes 0 to 255. */
const characters: string[] = (() => {
	const printable = [
		...Array.from({ length: 94 }, (_, i) => i + 33),
		...Array.from({ length: 12 }, (_, i) => i + 161),
		...Array.from({ length: 82 }, (_, i) => i + 174),
	];
	const others = Array.from({ length: 256 }, (_, i) => i).filter((byte) => !printable.includes(byte));
	const result = new Array<string>(256);
	for (const byte of printable) result[byte] = String.fromCharCode(byte);
	for (const [i, byte] of others.entries()) result[byte] = String.fromCharCode(256 + i);
	return result;
})();

/** A trained tokenizer. */
export interface TrainedBpe {
	/** Contents of tokenizer.json. */
	json: Record<string, unknown>;
	vocabSize: number;
	/** Bytes of each token; special tokens as UTF-8. */
	tokenBytes: Buffer[];
	/** Token ids of a text that holds no special tokens, without any added. */
	encode(text: string): number[];
}

/** Trains until the vocabulary has this many tokens; the first ones are special. */
export function trainBpe(text: string, vocabSize: number, specials: readonly string[]): TrainedBpe {
	const split = (t: string) => t.match(new RegExp(wordPattern, "gu")) ?? [];
	const toSymbols = (word: string) => Array.from(Buffer.from(word), (byte) => characters[byte]!);
	const words = split(text).map(toSymbols);
	const vocab = [...specials, ...characters];
	const merges: [string, string][] = [];
	const merge = (word: string[], left: string, right: string) => {
		for (let i = 0; i + 1 < word.length; i++)
			if (word[i] === left && word[i + 1] === right) word.splice(i, 2, left + right);
	};
	while (vocab.length < vocabSize) {
		const counts = new Map<string, number>();
		for (const word of words) {
			for (let i = 0; i + 1 < word.length; i++) {
				const pair = `${word[i]} ${word[i + 1]}`;
				counts.set(pair, (counts.get(pair) ?? 0) + 1);
			}
		}
		const best = [...counts].filter(([, count]) => count > 1).sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))[0];
		if (!best) throw new Error(`the text gives only ${vocab.length} tokens`);
		const [left, right] = best[0].split(" ") as [string, string];
		merges.push([left, right]);
		vocab.push(left + right);
		for (const word of words) merge(word, left, right);
	}
	const ids = new Map(vocab.map((token, id) => [token, id]));
	const json = {
		version: "1.0",
		added_tokens: specials.map((content, id) => ({
			...{ id, content, special: true },
			...{ single_word: false, lstrip: false, rstrip: false, normalized: false },
		})),
		normalizer: null,
		pre_tokenizer: {
			type: "Sequence",
			pretokenizers: [
				{ type: "Split", pattern: { Regex: wordPattern }, behavior: "Isolated", invert: false },
				{ type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
			],
		},
		post_processor: {
			type: "TemplateProcessing",
			single: [{ SpecialToken: { id: specials[0], type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
			pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
			special_tokens: { [specials[0]!]: { id: specials[0], ids: [0], tokens: [specials[0]] } },
		},
		decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
		model: {
			...{ type: "BPE", dropout: null, unk_token: null, fuse_unk: false, byte_fallback: false },
			vocab: Object.fromEntries(ids),
			merges: merges.map((pair) => pair.join(" ")),
		},
	};
	const byteOf = new Map(characters.map((character, byte) => [character, byte]));
	return {
		json,
		vocabSize: vocab.length,
		tokenBytes: vocab.map((token, id) =>
			id < specials.length ? Buffer.from(token) : Buffer.from(Array.from(token, (c) => byteOf.get(c)!)),
		),
		encode: (t) =>
			split(t).flatMap((word) => {
				const symbols = toSymbols(word);
				for (const [left, right] of merges) merge(symbols, left, right);
				return symbols.map((symbol) => ids.get(symbol)!);
			}),
	};
}

/** A text with words, numbers, and characters of two to four bytes. */
export const trainingText = `The cache keeps the keys and the values of every token that came before. When the cache is
full, the oldest block goes, or the block whose tokens matter least. A page, a sheet, an octavo: folded three times, sixteen
pages. Über die Blöcke: größere Blöcke, weniger Tabellen. Кэш хранит ключи и значения. 缓存保存键和值。 Emoji: 🦉🦉 🧵🧵 🎈.
The keys, the values, the tokens, the blocks; 10, 100, 1000, 10000 tokens. It's what they're for, isn't it? `.repeat(3);
