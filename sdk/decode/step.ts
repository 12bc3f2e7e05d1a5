// The record of one step as a plain object, read from the same rows that the trace keeps: what a loop sees and what the
// tables say cannot differ.

import type { StepText } from "../model/step-text.js";
import { columnsOf } from "../trace/arrow-schema.js";
import { type ColumnSchema, traceSchema } from "../trace/schema.js";

/** Tokens or a block that were dropped. */
export interface Eviction {
	/** Running number in the session. */
	id: number;
	/** Index of the step in which it happened. */
	step: number;
	/** Index of the layer. */
	layer: number;
	/** `prefill` where a prompt was cut, else `decode`. */
	phase: "prefill" | "decode";
	/** Single tokens, or one whole block. */
	granularity: "token" | "block";
	/** Place in the block table, before it went, of the block or of that of a cached token; -1 for a prompt's tokens. */
	logicalIndex: number;
	/** Physical block; -1 for a prompt's tokens. */
	blockId: number;
	/** Slot of one cached token in its block; -1 otherwise. */
	slotIndex: number;
	/** KV head that dropped it; -1 for all. */
	kvHead: number;
	/** A physical block went back to the pool. */
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
	/** `prefill` for the prompt, then `decode`. */
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
	/** What was dropped in this step, layer by layer. */
	evictions: Eviction[];
	/** Wall time in microseconds. */
	us: number;
}

type Row = Record<string, number | number[]>;

// Reads packed rows: columns come in the schema's order.
class RowReader {
	readonly #packed: Float64Array;
	#at: number;

	constructor(packed: Float64Array, at: number) {
		this.#packed = packed;
		this.#at = at;
	}

	next(): number {
		return this.#packed[this.#at++]!;
	}

	row(columns: readonly [string, ColumnSchema][]): Row {
		const row: Row = {};
		for (const [name, { type }] of columns) {
			const value = this.next();
			if (type === "i32[]" || type === "f32[]") {
				row[name] = Array.from(this.#packed.subarray(this.#at, this.#at + value));
				this.#at += value;
			} else row[name] = value;
		}
		return row;
	}
}

function toEviction(row: Row): Eviction {
	const { phase, granularity, chosen_by: chosenBy } = traceSchema.evictions;
	const cell = (name: string) => row[name] as number;
	const list = (name: string) => row[name] as number[];
	return {
		id: cell("eviction_id"),
		step: cell("step_index"),
		layer: cell("layer_index"),
		phase: phase.values[cell("phase")]!,
		granularity: granularity.values[cell("granularity")]!,
		logicalIndex: cell("logical_index"),
		blockId: cell("block_id"),
		slotIndex: cell("slot_index"),
		kvHead: cell("kv_head"),
		freed: cell("freed") !== 0,
		chosenBy: chosenBy.values[cell("chosen_by")]!,
		score: cell("score"),
		runnerUpScore: cell("runner_up_score"),
		positions: list("positions"),
		candidates: list("candidates"),
		candidateScores: list("candidate_scores"),
	};
}

// Places of a step's columns in its packed row, which has no lists: a loop reads one row a step, so it goes by number.
const stepColumns = columnsOf("steps").map(([name]) => name) as (keyof typeof traceSchema.steps)[];
const at = Object.fromEntries(stepColumns.map((name, place) => [name, place])) as Record<
	keyof typeof traceSchema.steps,
	number
>;
const { phase: phaseColumn } = traceSchema.steps;

/** Steps and their evictions from the engine's `stepRows`. */
export function readSteps(packed: Float64Array, text: StepText): Step[] {
	const numSteps = packed[0]!;
	const end = 1 + numSteps * stepColumns.length;
	const reader = new RowReader(packed, end + 1);
	const evictions = Array.from({ length: packed[end]! }, () => toEviction(reader.row(columnsOf("evictions"))));
	const steps: Step[] = [];
	for (let row = 1; row < end; row += stepColumns.length) {
		const index = packed[row + at.step_index]!;
		const token = packed[row + at.token_id]!;
		steps.push({
			index,
			phase: phaseColumn.values[packed[row + at.phase]!]!,
			token,
			text: text.add(token, index),
			position: packed[row + at.position_index]!,
			numTokens: packed[row + at.num_tokens]!,
			forced: packed[row + at.forced] !== 0,
			logprob: packed[row + at.token_logprob]!,
			entropy: packed[row + at.entropy]!,
			evictions: evictions.length === 0 ? [] : evictions.filter((eviction) => eviction.step === index),
			us: packed[row + at.total_us]!,
		});
	}
	return steps;
}
