// The figures of the papers as functions. `deepOptimizerStates` lists those of arXiv:2410.21316, `pagedEviction` those of
// arXiv:2509.04377, each in the order in which its notebook tells them.

import { linkBandwidth, nodes } from "./hardware-scale.js";
import { memoryFluctuation } from "./memory.js";
import { endToEnd, iterationTime, updateThroughput } from "./model-size.js";
import type { PaperFigure } from "./result.js";
import { dataParallel, gradientAccumulation, microBatch, subgroupSize } from "./sensitivity.js";
import { deviceShare, twinflowRatio, updateStride } from "./update-site.js";

export * from "./paged-eviction/index.js";
export { type ScheduleKey, scheduleNames } from "./play.js";
export type { FigureRow, PaperFigure } from "./result.js";
export { saveFigure } from "./save.js";
export {
	dataParallel,
	deviceShare,
	endToEnd,
	gradientAccumulation,
	iterationTime,
	linkBandwidth,
	memoryFluctuation,
	microBatch,
	nodes,
	subgroupSize,
	twinflowRatio,
	updateStride,
	updateThroughput,
};

/**
 * All figures of Deep Optimizer States, each drawn when it is called.
 *
 * @example
 * ```ts
 * import { figures } from "octavo";
 * const { table, chart } = figures.iterationTime();
 * console.log(chart.title, table.numRows);   // Iteration time by model size, 4×H100 80
 * console.log(figures.deepOptimizerStates.length);   // 14
 * ```
 */
export const deepOptimizerStates: readonly (() => PaperFigure)[] = [
	iterationTime,
	updateThroughput,
	endToEnd,
	twinflowRatio,
	() => updateStride("h100-4x"),
	() => updateStride("a100-4x-bound"),
	deviceShare,
	microBatch,
	dataParallel,
	gradientAccumulation,
	subgroupSize,
	linkBandwidth,
	nodes,
	memoryFluctuation,
];
