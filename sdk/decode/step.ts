// The record of one step as a plain object, read from the same rows that the trace keeps: what a loop sees and what the
// tables say cannot differ.

import type { NativeColumns, NativeTrace } from "../../native/addon.js";
import { traceSchema } from "../trace/schema.js";

/** Tokens or a block that were dropped. */
export interface Eviction {
	/** Running number in the session. */
	id: number;
	/** Index of the step in which it happened. */
	step: number;
	layer: number;
	phase: "prefill" | "decode";
	/** Single tokens (of the prompt), or one whole block. */
	granularity: "token" | "block";
	/** Place in the block table before it went; -1 for tokens. */
	logicalIndex: number;
	/** Physical block; -1 for tokens. */
	blockId: number;
	/** The physical block went back to the pool. */
	freed: boolean;
	/** Whose choice it was: `user` where a breakpoint's `replaceWith` took another block. */
	chosenBy: "policy" | "user";
	/** Score of the block, or the highest among the tokens dropped. */
	score: number;
	/** Lowest score among the candidates kept; NaN if none was. */
	runnerUpScore: number;
	/** RoPE positions dropped. */
	positions: number[];
	/** Logical block indices (or positions, for tokens) that could have gone. */
	candidates: number[];
	/** Their scores. */
	candidateScores: number[];
}

/** What one step did. */
export interface Step {
	/** 0 is the prefill. */
	index: number;
	phase: "prefill" | "decode";
	/** Token fed in this step; the last prompt token for prefill. */
	token: number;
	/** The text it adds: a whole character comes with the token that completes it. Its name where the vocabulary has names. */
	text: string;
	/** Its RoPE position. */
	position: number;
	/** Tokens fed in this step. */
	numTokens: number;
	/** The token was given by the caller, not sampled. */
	forced: boolean;
	/** Natural log-probability the model gave the token before it was fed; NaN for prefill. */
	logprob: number;
	/** Entropy in nats of the distribution after this step. */
	entropy: number;
	evictions: Eviction[];
	/** Wall time in microseconds. */
	us: number;
}

type FlatColumn = Int32Array | Float32Array | Float64Array | Uint8Array;

function flat(columns: NativeColumns, name: string): FlatColumn {
	return columns[name] as FlatColumn;
}

function list(columns: NativeColumns, name: string, row: number): number[] {
	const { offsets, values } = columns[name] as { offsets: Int32Array; values: Int32Array | Float32Array };
	return Array.from(values.subarray(offsets[row], offsets[row + 1]));
}

function readEvictions({ evictions: columns }: NativeTrace): Eviction[] {
	const { phase, granularity, chosen_by: chosenBy } = traceSchema.evictions;
	return Array.from(flat(columns, "eviction_id"), (id, row): Eviction => {
		const cell = (name: string) => flat(columns, name)[row]!;
		return {
			id,
			step: cell("step_index"),
			layer: cell("layer_index"),
			phase: phase.values[cell("phase")]!,
			granularity: granularity.values[cell("granularity")]!,
			logicalIndex: cell("logical_index"),
			blockId: cell("block_id"),
			freed: cell("freed") !== 0,
			chosenBy: chosenBy.values[cell("chosen_by")]!,
			score: cell("score"),
			runnerUpScore: cell("runner_up_score"),
			positions: list(columns, "positions", row),
			candidates: list(columns, "candidates", row),
			candidateScores: list(columns, "candidate_scores", row),
		};
	});
}

/** Steps among newly recorded rows. The engine records a step's rows when it completes, so none is in two parts. */
export function readSteps(trace: NativeTrace, textOf: (token: number, stepIndex: number) => string): Step[] {
	const columns = trace.steps;
	const evictions = readEvictions(trace);
	const { phase } = traceSchema.steps;
	return Array.from(flat(columns, "step_index"), (index, row): Step => {
		const cell = (column: string) => flat(columns, column)[row]!;
		const token = cell("token_id");
		return {
			index,
			phase: phase.values[cell("phase")]!,
			token,
			text: textOf(token, index),
			position: cell("position_index"),
			numTokens: cell("num_tokens"),
			forced: cell("forced") !== 0,
			logprob: cell("token_logprob"),
			entropy: cell("entropy"),
			evictions: evictions.length === 0 ? [] : evictions.filter((eviction) => eviction.step === index),
			us: cell("total_us"),
		};
	});
}
