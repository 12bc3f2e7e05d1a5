// The built-in eviction policies, as one namespace: a line for each.

export type { Budget, BudgetOptions } from "./budget.js";
export {
	type CustomBlockOptions,
	type CustomCommonOptions,
	type CustomOptions,
	type CustomTokenOptions,
	custom,
	type Need,
	type ScoreBlock,
	type ScoreTokens,
} from "./custom.js";
export { full } from "./full.js";
export { type H2oOptions, h2o } from "./h2o.js";
export { type InverseKeyNormOptions, inverseKeyNorm } from "./inverse-key-norm.js";
export { type KeyDiffOptions, keyDiff } from "./key-diff.js";
export { type PagedEvictionOptions, pagedEviction } from "./paged-eviction.js";
export type { Policy } from "./policy.js";
export { type PyramidBudgetOptions, pyramidBudget } from "./pyramid-budget.js";
export { type RandomOptions, random } from "./random.js";
export type { PrefillAttentionOptions, Scope, ScopeOptions } from "./scope.js";
export { type SnapKvOptions, snapKv } from "./snap-kv.js";
export { type StreamingLlmOptions, streamingLlm } from "./streaming-llm.js";
export type { HeadsOptions, TokenFormOptions } from "./token-form.js";
export { type TovaOptions, tova } from "./tova.js";
