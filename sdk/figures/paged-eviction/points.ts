// From prompts to points: means with bootstrap intervals, and the paired difference to the random control on the same
// prompts, which is what says whether a policy does anything.

import { bootstrapMean, type Interval } from "../../chart/bootstrap.js";
import type { Figure } from "../../chart/figure.js";
import { figureOf, type PaperFigure } from "../result.js";
import { randomControl } from "./contenders.js";
import type { Outcome } from "./evaluate.js";

/** One prompt under one policy. */
export interface Sample extends Outcome {
	/** `recall`, `needle` or `lookup`. */
	task: string;
	policy: string;
	/** Absent for a full cache. */
	budget: number | undefined;
	blockSize: number;
	/** Of the prompt. */
	seed: number;
	/** What else tells points apart: a depth, a variant; empty where nothing does. */
	setting: string;
}

/** A mean over prompts. */
export interface Point {
	/** `recall`, `needle` or `lookup`. */
	readonly task: string;
	/** What else tells points apart: a depth, a variant; empty where nothing does. */
	readonly setting: string;
	/** Name of the policy. */
	readonly policy: string;
	/** KV tokens kept a layer; null for a full cache. */
	readonly budget: number | null;
	/** Slots a block. */
	readonly block_size: number;
	/** Prompts that the means are over. */
	readonly num_prompts: number;
	/** Mean fraction of questions answered right. */
	readonly score: number;
	/** Lower end of the 95 % bootstrap interval over prompts. */
	readonly score_low: number;
	/** Upper end of it. */
	readonly score_high: number;
	/** Mean difference to the random control on the same prompts; null without one. */
	readonly over_random: number | null;
	/** Lower end of its paired 95 % bootstrap interval. */
	readonly over_random_low: number | null;
	/** Upper end of it. */
	readonly over_random_high: number | null;
	/** Mean over prompts and layers after the last question. */
	readonly live_tokens: number;
	/** Slots of all blocks, a layer, mean likewise. */
	readonly allocated_tokens: number;
	/** 1 − live / allocated. */
	readonly fragmentation: number;
}

const confidence = 0.95;

const schema = {
	task: { type: "text", description: "Task" },
	setting: { type: "text", description: "What else tells points apart: a depth, a variant" },
	policy: { type: "text", description: "Policy" },
	budget: { type: "i32", nullable: true, description: "KV tokens kept a layer; null for a full cache" },
	block_size: { type: "i32", description: "Slots a block" },
	num_prompts: { type: "i32", description: "Prompts that the mean is over" },
	score: { type: "f64", description: "Mean fraction of questions answered right, 0 to 1" },
	score_low: { type: "f64", description: "Lower end of the 95 % bootstrap interval over prompts" },
	score_high: { type: "f64", description: "Upper end" },
	over_random: { type: "f64", nullable: true, description: "Mean difference to the random control, prompt by prompt" },
	over_random_low: { type: "f64", nullable: true, description: "Lower end of its 95 % paired bootstrap interval" },
	over_random_high: { type: "f64", nullable: true, description: "Upper end" },
	live_tokens: { type: "f64", description: "Live tokens a layer after the last question" },
	allocated_tokens: { type: "f64", description: "Slots of all blocks a layer after the last question" },
	fragmentation: { type: "f64", description: "1 - live / allocated, 0 to 1" },
} as const;

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

// Differences of fractions that cancel out leave some 1e-18, which a table would print and a verdict take for above zero.
const withoutNoise = (difference: number | undefined): number | null =>
	difference === undefined ? null : Math.round(difference * 1e12) / 1e12 + 0;

/** What two samples must share to be compared prompt by prompt. */
const placeOf = ({ task, setting, budget, blockSize }: Sample): string =>
	JSON.stringify([task, setting, budget ?? null, blockSize]);

/** Takes samples together by place and policy, in the order in which they are first met. */
export function pointsOf(samples: readonly Sample[]): Point[] {
	const groups = new Map<string, Sample[]>();
	for (const sample of samples) {
		const key = JSON.stringify([placeOf(sample), sample.policy]);
		const group = groups.get(key);
		if (group) group.push(sample);
		else groups.set(key, [sample]);
	}
	return [...groups.values()].map((group) => {
		const first = group[0]!;
		const control = new Map(
			samples
				.filter((sample) => sample.policy === randomControl && placeOf(sample) === placeOf(first))
				.map(({ seed, score }) => [seed, score]),
		);
		const score = bootstrapMean(
			group.map((sample) => sample.score),
			confidence,
		);
		const paired = group.every(({ seed }) => control.has(seed));
		const over = paired
			? bootstrapMean(
					group.map((sample) => sample.score - control.get(sample.seed)!),
					confidence,
				)
			: undefined;
		const live = mean(group.map((sample) => sample.liveTokens));
		const allocated = mean(group.map((sample) => sample.allocatedTokens));
		return {
			task: first.task,
			setting: first.setting,
			policy: first.policy,
			budget: first.budget ?? null,
			block_size: first.blockSize,
			num_prompts: group.length,
			score: score.mean,
			score_low: score.low,
			score_high: score.high,
			over_random: withoutNoise(over?.mean),
			over_random_low: withoutNoise(over?.low),
			over_random_high: withoutNoise(over?.high),
			live_tokens: live,
			allocated_tokens: allocated,
			fragmentation: 1 - live / allocated,
		};
	});
}

/** The score of a point, or of what else has one, with its interval. */
export const scoreInterval = (point: Pick<Point, "score" | "score_low" | "score_high">): Interval => ({
	mean: point.score,
	low: point.score_low,
	high: point.score_high,
});

/** Puts a figure of points together. */
export function pointFigure(name: string, points: readonly Point[], chart: Figure): PaperFigure<Point> {
	return figureOf(name, schema, points, chart);
}
