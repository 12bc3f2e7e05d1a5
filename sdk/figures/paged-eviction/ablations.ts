// What the published code and the paper differ in, and what a policy may see before it evicts: each as a figure of
// variants.

import * as policies from "../../decode/policies/index.js";
import type { Model } from "../../load-model.js";
import type { PaperFigure } from "../result.js";
import { contenders, randomControl } from "./contenders.js";
import type { Point } from "./points.js";
import { runVariants, type Variant, type VariantOptions } from "./variants.js";

const control = (setting: string): Variant => ({
	setting,
	name: randomControl,
	policy: (budget, seed) => policies.random({ budget, seed }),
});

/**
 * PagedEviction with each definition of a token's score.
 *
 * @returns a point a score and one of the random control, the mean of `numPrompts` (default 60)
 * @throws {OctavoError} ERR_OCTAVO_OPTION, ERR_OCTAVO_BUDGET
 * Source: arXiv:2509.04377 gives the mean ratio; the others are what its public code offers.
 */
export function scoreVariants(model: Model, options: VariantOptions = {}): Promise<PaperFigure<Point>> {
	const scores = [
		["value-key-ratio", "mean of ‖V‖ / ‖K‖ (paper)"],
		["value-key-ratio-of-means", "mean ‖V‖ / mean ‖K‖"],
		["value-norm", "‖V‖"],
		["inverse-key-norm", "1 / ‖K‖"],
		["key-value-norm-sum", "‖K‖ + ‖V‖"],
	] as const;
	const variants = scores.map(
		([score, name]): Variant => ({
			setting: "score",
			name,
			policy: (budget) => policies.pagedEviction({ budget, score }),
		}),
	);
	return runVariants(model, [...variants, control("score")], options, {
		call: "scoreVariants",
		name: "score-variants",
		title: "PagedEviction by what scores a token",
		caption: "Higher scores are kept.",
	});
}

/**
 * Every policy with the question after eviction, and with the question at the end of the prompt, where it steers what
 * is kept.
 *
 * @returns two points a policy, the mean of `numPrompts` (default 60)
 * @throws {OctavoError} ERR_OCTAVO_OPTION, ERR_OCTAVO_BUDGET
 */
export function questionAwareness(model: Model, options: VariantOptions = {}): Promise<PaperFigure<Point>> {
	const variants = contenders.flatMap(({ name, policy }): Variant[] => [
		{ setting: "asked after eviction", name, policy },
		{ setting: "question in the prompt", name, policy, questionAware: true },
	]);
	return runVariants(model, variants, options, {
		call: "questionAwareness",
		name: "question-awareness",
		title: "Asked after eviction, or in the prompt",
		caption:
			"With the question in the prompt, its end is protected, steers policies that look at attention, and the first of the two answer tokens comes from the prompt's own full attention: hence the higher control.",
	});
}

/**
 * One choice a layer, or one for all layers by three reductions, for a policy that misses here and one that does not.
 *
 * @returns a point a policy and scope, and the random control per layer and shared, the mean of `numPrompts` (default 60)
 * @throws {OctavoError} ERR_OCTAVO_OPTION, ERR_OCTAVO_BUDGET
 */
export function scopes(model: Model, options: VariantOptions = {}): Promise<PaperFigure<Point>> {
	const all = [
		["per layer", "per-layer"],
		["shared: layer 0", { shared: "layer-0" }],
		["shared: mean score", { shared: "mean-score" }],
		["shared: mean rank", { shared: "mean-rank" }],
	] as const;
	const variants = all.flatMap(([setting, scope]): Variant[] => [
		{ setting, name: "paged-eviction", policy: (budget) => policies.pagedEviction({ budget, scope }) },
		{ setting, name: "key-diff", policy: (budget) => policies.keyDiff({ budget, scope }) },
		{ setting, name: randomControl, policy: (budget, seed) => policies.random({ budget, seed, scope }) },
	]);
	return runVariants(model, variants, options, {
		call: "scopes",
		name: "scopes",
		title: "Each layer for itself, or all alike",
		caption:
			"Shared: all layers drop the same tokens, as where one block spans all layers. The control has no scores to share: its draw is layer 0's in all three.",
	});
}

/**
 * The prompt cut after its attention, or before: then every token attends to what stays of those up to it.
 *
 * @returns two points a policy, the mean of `numPrompts` (default 60)
 * @throws {OctavoError} ERR_OCTAVO_OPTION, ERR_OCTAVO_BUDGET
 */
export function prefillAttention(model: Model, options: VariantOptions = {}): Promise<PaperFigure<Point>> {
	const variants = (["full", "evicted"] as const).flatMap((prefillAttention): Variant[] => {
		const setting = prefillAttention === "full" ? "cut after the prompt's attention" : "cut before it";
		const shared = { prefillAttention };
		return [
			{ setting, name: "paged-eviction", policy: (budget) => policies.pagedEviction({ budget, ...shared }) },
			{ setting, name: "streaming-llm", policy: (budget) => policies.streamingLlm({ budget, ...shared }) },
			{ setting, name: "inverse-key-norm", policy: (budget) => policies.inverseKeyNorm({ budget, ...shared }) },
			{ setting, name: "key-diff", policy: (budget) => policies.keyDiff({ budget, ...shared }) },
			{ setting, name: randomControl, policy: (budget, seed) => policies.random({ budget, seed, ...shared }) },
		];
	});
	return runVariants(model, variants, options, {
		call: "prefillAttention",
		name: "prefill-attention",
		title: "Prompt cut after its attention, or before",
		caption: "Cut before, later layers see states that were made without the dropped tokens.",
	});
}

/**
 * Blocks, single tokens, or single tokens of each head: half of the context is prefilled, the other half decoded, so that
 * eviction in decode decides.
 *
 * @returns a point a policy and form, the mean of `numPrompts` (default 60)
 * @throws {OctavoError} ERR_OCTAVO_OPTION, ERR_OCTAVO_BUDGET
 */
export function granularities(model: Model, options: VariantOptions = {}): Promise<PaperFigure<Point>> {
	const forms = [
		["a block at a time", {}],
		["a token at a time", { granularity: "token" }],
		["a token of each head", { granularity: "token", heads: "per-head" }],
	] as const;
	const numPrefilled = 64;
	const variants = forms.flatMap(([setting, form]): Variant[] => {
		const shared = { setting, numPrefilled };
		return [
			{ ...shared, name: "key-diff", policy: (budget) => policies.keyDiff({ budget, ...form }) },
			{ ...shared, name: "h2o", policy: (budget) => policies.h2o({ budget, ...form }) },
			{ ...shared, name: "inverse-key-norm", policy: (budget) => policies.inverseKeyNorm({ budget, ...form }) },
			{ ...shared, name: randomControl, policy: (budget, seed) => policies.random({ budget, seed, ...form }) },
		];
	});
	const blocks: Variant = {
		setting: forms[0][0],
		name: "paged-eviction",
		policy: (budget) => policies.pagedEviction({ budget }),
		numPrefilled,
	};
	return runVariants(model, [blocks, ...variants], options, {
		call: "granularities",
		name: "granularity",
		title: "Whole blocks, or single tokens",
		caption: `${numPrefilled} tokens prefilled, the rest of the context decoded one by one.`,
	});
}
