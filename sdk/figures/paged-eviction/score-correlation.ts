// Does a score know what will be attended to? Rank correlation, layer by layer, of a token's score right after prefill with
// the attention it then gets from a question.

import { bootstrapMean, type Interval } from "../../chart/bootstrap.js";
import { errorBars } from "../../chart/error-bars.js";
import { finish, palette, round, symbols } from "../../chart/theme.js";
import { full } from "../../decode/policies/index.js";
import type { Session } from "../../decode/session.js";
import type { Model } from "../../load-model.js";
import { recall } from "../../model/tasks/index.js";
import { figureOf, type PaperFigure } from "../result.js";
import { type ExperimentOptions, runCases } from "./evaluate.js";
import { checkExperiment, measuredOn, promptSeeds, sharedChecks } from "./options.js";
import { spearman } from "./spearman.js";

/** One score in one layer. */
export interface Correlation {
	/** Name of the score. */
	readonly score: string;
	/** Layer, from 0. */
	readonly layer_index: number;
	/** Mean over prompts of Spearman's coefficient, -1 to 1. */
	readonly correlation: number;
	/** Lower end of the 95 % bootstrap interval over prompts. */
	readonly low: number;
	/** Upper end of it. */
	readonly high: number;
	/** Prompts that the mean is over. */
	readonly num_prompts: number;
}

const schema = {
	score: { type: "text", description: "What scores a token, from its key and value" },
	layer_index: { type: "i32", description: "Layer" },
	correlation: { type: "f64", description: "Spearman's rank correlation with attention, mean over prompts, -1 to 1" },
	low: { type: "f64", description: "Lower end of the 95 % bootstrap interval over prompts" },
	high: { type: "f64", description: "Upper end" },
	num_prompts: { type: "i32", description: "Prompts" },
} as const;

type Vectors = Float32Array[]; // a token each: [num_kv_heads * head_dim]

const norm = (vector: Float32Array): number => Math.hypot(...vector);

/** Mean over heads of a score of a head's key and value. */
function byHead(score: (key: Float32Array, value: Float32Array) => number) {
	return (keys: Vectors, values: Vectors, headDim: number): number[] =>
		keys.map((key, token) => {
			const numHeads = key.length / headDim;
			let sum = 0;
			for (let from = 0; from < key.length; from += headDim)
				sum += score(key.subarray(from, from + headDim), values[token]!.subarray(from, from + headDim));
			return sum / numHeads;
		});
}

/** How far a key points away from the mean direction of all keys, averaged over heads. */
function distinctness(keys: Vectors, _: Vectors, headDim: number): number[] {
	const numHeads = keys[0]!.length / headDim;
	const scores = keys.map(() => 0);
	for (let head = 0; head < numHeads; head++) {
		const units = keys.map((key) => {
			const own = key.subarray(head * headDim, (head + 1) * headDim);
			const length = norm(own) || 1;
			return own.map((x) => x / length);
		});
		const anchor = new Float32Array(headDim);
		for (const unit of units) for (let i = 0; i < headDim; i++) anchor[i]! += unit[i]! / units.length;
		const length = norm(anchor) || 1;
		units.forEach((unit, token) => {
			scores[token]! -= unit.reduce((dot, x, i) => dot + x * anchor[i]!, 0) / length / numHeads;
		});
	}
	return scores;
}

const scores = {
	"‖V‖ / ‖K‖ (PagedEviction)": byHead((key, value) => norm(value) / Math.max(norm(key), 1e-6)),
	"1 / ‖K‖ (inverse key norm)": byHead((key) => 1 / Math.max(norm(key), 1e-6)),
	"‖V‖": byHead((_, value) => norm(value)),
	"−cos(K, mean K) (KeyDiff)": distinctness,
	"position (recency)": (keys: Vectors) => keys.map((_, token) => token),
};

// A token's key or value in all heads, from blocks of [head, slot, dim].
function tokenVectors(session: Session, layer: number, kind: "keys" | "values", headDim: number): Vectors {
	const vectors: Vectors = [];
	for (const block of session.layer(layer).blocks) {
		const { data, shape } = block[kind];
		const [numHeads, blockSize] = shape as [number, number];
		for (let slot = 0; slot < block.filled; slot++) {
			const vector = new Float32Array(numHeads * headDim);
			for (let head = 0; head < numHeads; head++) {
				const from = (head * blockSize + slot) * headDim;
				vector.set((data as Float32Array).subarray(from, from + headDim), head * headDim);
			}
			vectors.push(vector);
		}
	}
	return vectors;
}

/** Mean over heads of what the last token's query gives each of the first tokens. */
function attention(session: Session, layer: number, numTokens: number): number[] {
	const pattern = session.layer(layer).pattern();
	const [numHeads] = pattern.shape as [number];
	return Array.from({ length: numTokens }, (_, slot) => {
		let sum = 0;
		for (let head = 0; head < numHeads; head++) sum += pattern.get(head, slot);
		return sum / numHeads;
	});
}

/**
 * Rank correlation of scores with the attention of a later question, by layer.
 *
 * @returns a point a score and layer, the mean of `numPrompts` (default 40)
 * @throws {OctavoError} ERR_OCTAVO_OPTION
 */
export async function scoreCorrelation(
	model: Model,
	options: ExperimentOptions = {},
): Promise<PaperFigure<Correlation>> {
	const checked = checkExperiment("scoreCorrelation", model, options, sharedChecks(40));
	const { numPrompts } = checked;
	const { numLayers, headDim } = model.config;
	const layers = Array.from({ length: numLayers }, (_, layer) => layer);
	const found = await runCases(
		promptSeeds(checked),
		(seed) => {
			const { context, queries } = recall({ seed, numQueries: 1, filler: "markov" });
			using session = model.session({ policy: full(), seed, recordBlocks: false });
			session.prefillSync(context);
			const before = layers.map((layer) => {
				const keys = tokenVectors(session, layer, "keys", headDim);
				const values = tokenVectors(session, layer, "values", headDim);
				return Object.values(scores).map((score) => score(keys, values, headDim));
			});
			// The key's token looks for the record, and the first value's for what comes after it.
			const { tokens, answer } = queries[0]!;
			session.feedSync(tokens);
			const first = layers.map((layer) => attention(session, layer, context.length));
			session.feedSync([answer[0]]);
			return layers.map((layer) => {
				const second = attention(session, layer, context.length);
				const mass = first[layer]!.map((share, token) => share + second[token]!);
				return before[layer]!.map((score) => spearman(score, mass));
			});
		},
		checked,
	);
	const rows = Object.keys(scores).flatMap((score, which) =>
		layers.map((layer): Correlation => {
			const { mean, low, high }: Interval = bootstrapMean(
				found.map((prompt) => prompt[layer]![which]!),
				0.95,
			);
			return { score, layer_index: layer, correlation: mean, low, high, num_prompts: numPrompts };
		}),
	);
	const data = Object.keys(scores).map((score, i) => {
		const own = rows.filter((row) => row.score === score);
		return {
			type: "scatter",
			mode: "lines+markers",
			name: score,
			x: own.map((row) => row.layer_index),
			y: own.map((row) => round(row.correlation)),
			error_y: errorBars(own.map(({ correlation: mean, low, high }) => ({ mean, low, high }))),
			line: { color: palette[i], width: 2 },
			marker: { color: palette[i], symbol: symbols[i], size: 9 },
		};
	});
	const chart = finish(data, {
		title: "Does the score know what will be attended to?",
		caption: `Spearman's rank correlation of a token's score after prefill with the attention it gets from a later question, mean over query heads and ${numPrompts} prompts, 95 % intervals. Zero: the score knows nothing; below: it keeps what will not be needed. ${measuredOn(model)}`,
		plotHeight: 320,
		layout: {
			xaxis: { title: { text: "layer", standoff: 6 }, tickvals: layers },
			yaxis: { title: { text: "rank correlation" }, range: [-1, 1], zeroline: true },
		},
	});
	return figureOf("score-correlation", schema, rows, chart);
}
