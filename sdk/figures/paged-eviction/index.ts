// The experiments of PagedEviction (arXiv:2509.04377), run for real on a model at hand. `pagedEviction` lists them in the
// order in which its notebook tells them.

import type { Model } from "../../load-model.js";
import type { PaperFigure } from "../result.js";
import { granularities, prefillAttention, questionAwareness, scopes, scoreVariants } from "./ablations.js";
import { accuracyByBudget } from "./accuracy.js";
import { accuracyByBlockSize } from "./block-size.js";
import { needleByDepth } from "./depth.js";
import type { ExperimentOptions } from "./evaluate.js";
import { memoryOverTime } from "./memory-over-time.js";
import { overRandom, overRandomAtHalf } from "./over-random.js";
import { evictionOverhead } from "./overhead.js";
import { scoreCorrelation } from "./score-correlation.js";
import { throughputByBudget } from "./throughput.js";
import { zeroedOrEvicted } from "./zeroed.js";

export type { AccuracyByBudgetOptions, TaskName } from "./accuracy.js";
export type { BlockSizeOptions } from "./block-size.js";
export { type Contender, contenders, layouts, oracle } from "./contenders.js";
export type { NeedleByDepthOptions } from "./depth.js";
export type { ExperimentOptions } from "./evaluate.js";
export type { MemoryOverTimeOptions, MemoryPoint } from "./memory-over-time.js";
export type { OverheadOptions, OverheadPoint } from "./overhead.js";
export type { Point } from "./points.js";
export type { Correlation } from "./score-correlation.js";
export type { ThroughputOptions, ThroughputPoint } from "./throughput.js";
export type { VariantOptions } from "./variants.js";
export type { ZeroedOptions, ZeroedPoint } from "./zeroed.js";
export {
	accuracyByBlockSize,
	accuracyByBudget,
	evictionOverhead,
	granularities,
	memoryOverTime,
	needleByDepth,
	overRandom,
	overRandomAtHalf,
	prefillAttention,
	questionAwareness,
	scopes,
	scoreCorrelation,
	scoreVariants,
	throughputByBudget,
	zeroedOrEvicted,
};

/** An experiment: what it runs on, and how. Those that run one sequence alone pass over `numPrompts`. */
export type Experiment = (model: Model, options?: ExperimentOptions) => Promise<PaperFigure<object>>;

/**
 * All figures, each measured when it is called; on recall-tiny all together take about a minute.
 *
 * @example
 * ```ts
 * import { figures, loadModel } from "octavo";
 * const model = await loadModel();
 * const { table, chart } = await figures.accuracyByBudget(model, { task: "needle", budgets: [64], numPrompts: 4 });
 * console.log(chart.title, table.numRows);   // Accuracy by budget: needle 10
 * console.log(figures.pagedEviction.length);   // 16
 * ```
 */
export const pagedEviction: readonly Experiment[] = [
	(model, options) => accuracyByBudget(model, { ...options, task: "recall" }),
	(model, options) => accuracyByBudget(model, { ...options, task: "needle" }),
	(model, options) => accuracyByBudget(model, { ...options, task: "lookup" }),
	overRandomAtHalf,
	needleByDepth,
	accuracyByBlockSize,
	(model, { numPrompts: _, ...options } = {}) => memoryOverTime(model, options),
	(model, { numPrompts: _, ...options } = {}) => evictionOverhead(model, options),
	(model, { numPrompts: _, ...options } = {}) => throughputByBudget(model, options),
	scoreVariants,
	scoreCorrelation,
	scopes,
	granularities,
	prefillAttention,
	questionAwareness,
	zeroedOrEvicted,
];
