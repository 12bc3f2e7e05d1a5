// Kept sets of Knorm, KeyDiff, SnapKV and TOVA from their papers' definitions, in float64 and written out naively: whole
// sorts, no shared code. Only what the docs of the policies name as different is so here: heads share a choice by the mean
// over them, and the first block and the last tokens stay.

/** What a full cache holds of one layer's prompt. */
export interface CapturedLayer {
	/** [num_tokens][num_kv_heads][head_dim], after RoPE. */
	keys: number[][][];
	/** Of the prompt's last queries, the newest last: [num_queries][num_query_heads][tokens that the query sees]. */
	patterns: number[][][];
}

const mean = (numbers: number[]) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
const dot = (a: number[], b: number[]) => a.reduce((sum, number, i) => sum + number * b[i]!, 0);
const norm = (a: number[]) => Math.sqrt(dot(a, a));

/** Scores of a prompt's tokens; higher is kept. */
export const scores: Record<string, (layer: CapturedLayer) => number[]> = {
	// arXiv:2406.11430: low key norms are kept.
	knorm: ({ keys }) => keys.map((heads) => mean(heads.map((key) => 1 / norm(key)))),
	// arXiv:2504.15364: minus the cosine to the mean of the normalised keys.
	keyDiff: ({ keys }) => {
		const anchors = keys[0]!.map((first, head) =>
			first.map((_, i) => mean(keys.map((heads) => heads[head]![i]! / norm(heads[head]!)))),
		);
		return keys.map((heads) =>
			mean(heads.map((key, head) => -dot(key, anchors[head]!) / norm(key) / norm(anchors[head]!))),
		);
	},
	// arXiv:2401.06104: what the last query gives, averaged over heads.
	tova: ({ patterns }) => patterns.at(-1)![0]!.map((_, token) => mean(patterns.at(-1)!.map((head) => head[token]!))),
	snapKvAverage: (layer) =>
		pooled(layer, (neighbours, width) => neighbours.reduce((sum, vote) => sum + vote, 0) / width, 5),
	snapKvMaximum: (layer) => pooled(layer, (neighbours) => Math.max(...neighbours), 7),
};

// arXiv:2404.14469: votes of the window's queries for the tokens before it, summed, pooled over neighbours of each head.
// The maximum is taken of the mean over heads, as the docs say.
function pooled(
	{ patterns }: CapturedLayer,
	pool: (neighbours: number[], width: number) => number,
	width: number,
): number[] {
	const numTokens = patterns.at(-1)![0]!.length;
	const end = numTokens - patterns.length;
	const votes = Array.from({ length: end }, (_, token) =>
		patterns.reduce((sum, heads) => sum + mean(heads.map((head) => head[token]!)), 0),
	);
	const radius = (width - 1) / 2;
	const result = votes.map((_, token) => pool(votes.slice(Math.max(0, token - radius), token + radius + 1), width));
	return [...result, ...Array<number>(patterns.length).fill(Number.POSITIVE_INFINITY)];
}

/** Positions that stay of a prompt: the first `numFirst`, the last `numLast`, and the best of the rest up to `budget`. */
export function keptSet(tokenScores: number[], budget: number, numFirst: number, numLast: number): number[] {
	const end = tokenScores.length - numLast;
	const middle = tokenScores.map((score, token) => ({ score, token })).slice(numFirst, end);
	middle.sort((a, b) => b.score - a.score || b.token - a.token); // of equal ones the newer stays
	const best = middle.slice(0, budget - numFirst - numLast).map(({ token }) => token);
	const ends = tokenScores.map((_, token) => token).filter((token) => token < numFirst || token >= end);
	return [...ends, ...best].sort((a, b) => a - b);
}
