// Throughput by budget: many sequences over one pool of blocks, as a serving engine runs them. A smaller budget holds fewer
// blocks, so more sequences run at once; what that is worth is measured, not counted.

import { errorBars } from "../../chart/error-bars.js";
import type { Figure } from "../../chart/figure.js";
import { looksOf } from "../../chart/looks.js";
import { escapeText, finish, round } from "../../chart/theme.js";
import { engineInfo } from "../../engine.js";
import type { Model } from "../../load-model.js";
import { recall } from "../../model/tasks/index.js";
import { integer } from "../../options.js";
import { figureOf, type PaperFigure } from "../result.js";
import { besideFull, type Contender, contenders, fullCache, randomControl } from "./contenders.js";
import { type ExperimentOptions, runCases } from "./evaluate.js";
import { axisList, checkExperiment, contenderList, sharedChecks } from "./options.js";

const numRounds = 3;
const promptLength = 64;
/** Whole sequences that the pool holds at once. */
const numWhole = 4;

/** Options of `throughputByBudget`. */
export interface ThroughputOptions extends Omit<ExperimentOptions, "numPrompts"> {
	/** Default 32, 64 and 128. */
	budgets?: readonly number[];
	/** Slots a block, from 1 to 256. Default 8. */
	blockSize?: number;
	/** Prompts of 64 tokens, all there from the start. Default 16. */
	numSequences?: number;
	/** Tokens decoded of each. Default 192. */
	numTokens?: number;
	/** Policies beside the full cache. Default: PagedEviction, StreamingLLM and the random control. */
	policies?: readonly Contender[];
}

/** A batch under one policy and budget: medians of three rounds in which all take turns. */
export interface ThroughputPoint {
	/** Policy. */
	readonly policy: string;
	/** KV tokens kept a layer; null for a full cache. */
	readonly budget: number | null;
	/** Prompt and output tokens a second, as the paper counts them. */
	readonly total_tokens_per_s: number;
	/** Least of the rounds. */
	readonly total_tokens_per_s_least: number;
	/** Most of the rounds. */
	readonly total_tokens_per_s_most: number;
	/** Over the full cache's of the same round. */
	readonly over_full: number;
	/** Time to first token, median over sequences, from the start. */
	readonly ttft_us: number;
	/** Time per output token, median over sequences. */
	readonly tpot_us: number;
	/** Mean of the sequences that decoded in a step. */
	readonly mean_at_once: number;
	/** Times a sequence was swapped out. */
	readonly num_preemptions: number;
}

const schema = {
	policy: { type: "text", description: "Policy" },
	budget: { type: "i32", nullable: true, description: "KV tokens kept a layer; null for a full cache" },
	total_tokens_per_s: { type: "f64", description: "Prompt and output tokens a second, median of the rounds" },
	total_tokens_per_s_least: { type: "f64", description: "Least of the rounds" },
	total_tokens_per_s_most: { type: "f64", description: "Most of the rounds" },
	over_full: { type: "f64", description: "Over the full cache's of the same round, median" },
	ttft_us: { type: "f64", description: "Time to first token from the start, median over sequences, in microseconds" },
	tpot_us: { type: "f64", description: "Time per output token, median over sequences, in microseconds" },
	mean_at_once: { type: "f64", description: "Sequences that decoded in a step, mean" },
	num_preemptions: { type: "i32", description: "Times a sequence was swapped out" },
} as const;

/** What is read of a batch that ran to its end, where nothing of it is null. */
type Summary = Readonly<
	Record<"total_tokens_per_s" | "ttft_median_us" | "tpot_median_us" | "mean_at_once" | "num_preemptions", number>
>;

const byDefault = ["paged-eviction", "streaming-llm", randomControl];

const sorted = (values: readonly number[]): number[] => [...values].sort((a, b) => a - b);
const middle = (values: readonly number[]): number => sorted(values)[values.length >> 1]!;

/**
 * Throughput, times to first token and per token of a batch by policy and budget, over a pool that four sequences with a
 * full cache fill.
 *
 * @returns a point a policy and budget; wall times of this machine, which vary from run to run
 * @throws {OctavoError} ERR_OCTAVO_OPTION, ERR_OCTAVO_BUDGET
 * Source: arXiv:2509.04377, its figures of throughput by budget and of latency.
 */
export async function throughputByBudget(
	model: Model,
	options: ThroughputOptions = {},
): Promise<PaperFigure<ThroughputPoint>> {
	const { numPrompts: _, ...shared } = sharedChecks(1);
	const checked = checkExperiment("throughputByBudget", model, options, {
		...shared,
		budgets: axisList,
		blockSize: integer(1, 256, 8),
		numSequences: integer(1, 1024, 16),
		numTokens: integer(2, 2 ** 20, 192),
		policies: contenderList,
	});
	const { budgets = [32, 64, 128], blockSize, numSequences, numTokens, firstSeed, signal } = checked;
	const prompts = Array.from({ length: numSequences }, (_, i) =>
		recall({ seed: firstSeed + i, contextLength: promptLength }),
	);
	const numBlocks = numWhole * Math.ceil((promptLength + numTokens) / blockSize);
	const given = checked.policies ?? contenders.filter(({ name }) => byDefault.includes(name));
	const each = besideFull(given).flatMap((contender) =>
		(contender === fullCache ? [undefined] : budgets).map((budget) => ({ contender, budget })),
	);
	const cases = Array.from({ length: numRounds }, (_, round) => each.map((one) => ({ ...one, round }))).flat();
	const runs = await runCases(
		cases,
		async ({ contender, budget = 0, round: turn }) => {
			using batch = model.batch({ blockSize, numBlocks, maxSequences: numSequences });
			for (const [i, prompt] of prompts.entries()) {
				const policy = contender.policy(budget, firstSeed + i, prompt);
				batch.add(prompt.context, { policy, maxTokens: numTokens, endTokens: [], recordBlocks: false });
			}
			await batch.run(signal ? { signal } : {});
			return { contender, budget, turn, summary: batch.summary.get(0)! as unknown as Summary };
		},
		checked,
	);
	const full = runs.filter(({ contender }) => contender === fullCache);
	const rows = each.map(({ contender, budget }): ThroughputPoint => {
		const own = runs.filter((run) => run.contender === contender && run.budget === (budget ?? 0));
		const rates = sorted(own.map((run) => run.summary.total_tokens_per_s));
		return {
			policy: contender.name,
			budget: budget ?? null,
			total_tokens_per_s: middle(rates),
			total_tokens_per_s_least: rates[0]!,
			total_tokens_per_s_most: rates.at(-1)!,
			over_full: middle(own.map((run) => run.summary.total_tokens_per_s / full[run.turn]!.summary.total_tokens_per_s)),
			ttft_us: middle(own.map((run) => run.summary.ttft_median_us)),
			tpot_us: middle(own.map((run) => run.summary.tpot_median_us)),
			mean_at_once: middle(own.map((run) => run.summary.mean_at_once)),
			num_preemptions: middle(own.map((run) => run.summary.num_preemptions)),
		};
	});
	const batchOf = `${numSequences} prompts of ${promptLength} tokens given at once, ${numTokens} tokens decoded of each, a pool of ${numBlocks} blocks of ${blockSize} a layer, which ${numWhole} full sequences fill.`;
	const machine = `this machine's CPU (${engineInfo().simd}, ${engineInfo().numThreads} threads)`;
	const caption = `Measured: prompt and output tokens a second, median of ${numRounds} rounds in turns, bars from the least to the most. ${batchOf} ${model.name}, ${model.numParameters.toLocaleString("en")} parameters, on ${machine}. Times to first token and per token are in the table. On a small model steps are short, and scores weigh more than on a large one.`;
	return figureOf("throughput", schema, rows, draw(rows, budgets, caption));
}

function draw(rows: readonly ThroughputPoint[], budgets: readonly number[], caption: string): Figure {
	const names = [...new Set(rows.map((row) => row.policy))];
	const data = looksOf(names).map(({ color, symbol, dash }, i) => {
		const name = names[i]!;
		const own = rows.filter((row) => row.policy === name);
		const isFull = name === fullCache.name;
		const drawn = isFull ? budgets.map((budget) => ({ ...own[0]!, budget })) : own;
		const intervals = drawn.map((row) => ({
			mean: row.total_tokens_per_s,
			low: row.total_tokens_per_s_least,
			high: row.total_tokens_per_s_most,
		}));
		return {
			type: "scatter",
			mode: isFull ? "lines" : "lines+markers",
			name: escapeText(isFull ? `${name} (no budget)` : name),
			x: drawn.map((row) => row.budget),
			y: drawn.map((row) => round(row.total_tokens_per_s)),
			error_y: errorBars(intervals),
			line: { color, width: 2, dash: isFull ? "dash" : dash },
			marker: { color, symbol, size: 8 },
			hovertemplate: `${escapeText(name)}, budget %{x}: %{y:.0f} tokens/s<extra></extra>`,
		};
	});
	return finish(data, {
		title: "Throughput of a batch by budget",
		caption,
		plotHeight: 320,
		layout: {
			xaxis: { title: { text: "budget: KV tokens kept a layer", standoff: 6 }, tickvals: [...budgets] },
			yaxis: { title: { text: "tokens a second" }, rangemode: "tozero" },
		},
	});
}
