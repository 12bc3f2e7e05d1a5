// The charts: functions of a trace or of plain rows, so that a figure is drawn again from a saved trace with no engine.

export { type AccuracyOptions, type AccuracyRow, accuracy } from "./accuracy.js";
export { type BlockMapOptions, blockMap } from "./block-map.js";
export { type BlockScoresOptions, blockScores } from "./block-scores.js";
export { comparison } from "./comparison.js";
export { Figure, type FigureParts, type PlotlyTrace } from "./figure.js";
export { type HeatmapOptions, heatmap, type TensorLike } from "./heatmap.js";
export { iterationBreakdown } from "./iteration-breakdown.js";
export { iterationMemory } from "./iteration-memory.js";
export { type MemoryOptions, memory } from "./memory.js";
export { occupancy } from "./occupancy.js";
export type { PositionMark } from "./options.js";
export { type ResidencyOptions, residency } from "./residency.js";
export { type SurvivalOptions, survival } from "./survival.js";
export { type TaskTimelineOptions, taskTimeline } from "./task-timeline.js";
export { type TokenScoresOptions, tokenScores } from "./token-scores.js";
export { utilisation } from "./utilisation.js";
