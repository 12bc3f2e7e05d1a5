// Options of a session and of its runs, in one place with their checks and defaults.

import type { AdvanceRequest, SamplingSpec, SessionSpec } from "../../native/addon.js";
import { OctavoError, received } from "../errors.js";
import type { ModelConfig } from "../model/config.js";
import type { Tokenizer } from "../model/tokenizer.js";
import { anything, boolean, checkFields, checkOptions, instanceOf, integer, oneOf, optional } from "../options.js";
import { budgetList, checkBudget, checkBudgetFits } from "./policies/budget.js";
import { customScoreOf } from "./policies/custom.js";
import { full, type Policy } from "./policies/index.js";
import { checkSampling, type SamplingOptions } from "./sampling.js";

/** Options of `model.session`. */
export interface SessionOptions {
	/** Slots per block, from 1 to 256. Default 16. */
	blockSize?: number;
	/** Physical blocks in each layer's pool; from 1. Default: what the policy, `history` and `forks` can need. */
	numBlocks?: number;
	/**
	 * What keys and values are stored as: 16-bit ones take half the memory and, in a long context, much of the time, and are
	 * rounded to nearest even as they are made (relative error up to 2^-8 for bf16, 2^-11 for f16, which fails a step with
	 * ERR_OCTAVO_NAN beyond 65504). A prompt attends to the rounded numbers too. Default f32.
	 */
	kvDtype?: "f32" | "bf16" | "f16";
	/** What is evicted. Default `policies.full()`. */
	policy?: Policy;
	/** Key of every random choice, from 0 to 2^53 - 1. Default 0. */
	seed?: number;
	/** Records the trace's `blocks` table: a row a block, layer and step. Default true. */
	recordBlocks?: boolean;
	/** Records the trace's `logits` table, which `compare` needs: 4 bytes a token of the vocabulary and step. Default false. */
	recordLogits?: boolean;
	/**
	 * Completed steps that `rewind` can go back by: of each, a copy of the block tables (8 bytes a block and layer) and of
	 * the logits is kept, and evicted blocks stay parked in their pools. When a pool runs out the oldest steps make way.
	 * Default 0: only snapshots can be gone back to.
	 */
	history?: number;
	/** Room in the default `numBlocks` for so many forks beside this session, which share its pools; from 0. Default 0. */
	forks?: number;
}

/** Options of one step. */
export interface StepOptions {
	/** Default: as the model's generation_config.json says, or greedy. */
	sampling?: SamplingOptions;
	/** Stops at the next layer; the session can go on. The promise rejects with the signal's reason. */
	signal?: AbortSignal;
}

/** Options of `steps` and `run`. */
export interface RunOptions extends StepOptions {
	/** Tokens to decode; from 0. Default 256. */
	maxTokens?: number;
	/** Sampling one of these ends the run after its step. Default: those of the model. */
	endTokens?: readonly number[];
}

/** Checked options of a run. */
export type CheckedRun = Pick<AdvanceRequest, "sampling"> & {
	maxTokens: number;
	endTokens: Int32Array;
	signal: AbortSignal | undefined;
};

const policyOptions: Record<keyof Policy, true> = {
	...{ name: true, budget: true, score: true, candidates: true, tailProtect: true, window: true, poolingWidth: true },
	...{ pooling: true, needs: true, normalised: true, shared: true, prefillAttention: true, granularity: true },
	...{ holes: true, heads: true, positions: true, sinks: true, recent: true, protectNewest: true },
	...{ skipLayers: true, seed: true },
};
const policyNames = [
	"full",
	"paged-eviction",
	"streaming-llm",
	"inverse-key-norm",
	"key-diff",
	"snap-kv",
	"tova",
	"h2o",
	"random",
	"custom",
];
// These keep what they decode, or a prompt as long as it may be.
const growingPolicies = ["full", "snap-kv", "custom"];

/**
 * Checks session options against a model.
 *
 * @throws {OctavoError} ERR_OCTAVO_OPTION naming the option; ERR_OCTAVO_BUDGET for a budget that does not fit the block size
 */
export function checkSession(options: unknown, { maxPositions, numKvHeads, numLayers }: ModelConfig): SessionSpec {
	const given = checkOptions("session()", options, {
		blockSize: integer(1, 256, 16),
		numBlocks: optional(integer(1, 2 ** 31 - 1, 1)),
		kvDtype: oneOf(["f32", "bf16", "f16"], "f32"),
		policy: anything,
		seed: integer(0, Number.MAX_SAFE_INTEGER, 0),
		recordBlocks: boolean(true),
		recordLogits: boolean(false),
		history: integer(0, 2 ** 31 - 1, 0),
		forks: integer(0, 2 ** 16, 0),
	});
	const { blockSize, kvDtype, history, recordBlocks, recordLogits } = given;
	const policy = checkPolicy(given.policy, blockSize, numLayers);
	const allBlocks = Math.ceil(maxPositions / blockSize);
	const grows = growingPolicies.includes(policy.name) || (policy.skipLayers?.length ?? 0) > 0;
	const mayNeed = grows ? allBlocks : blocksWithinBudget(policy, blockSize, history, numKvHeads);
	const numBlocks = given.numBlocks ?? Math.min(allBlocks, mayNeed) * (1 + given.forks);
	return { blockSize, numBlocks, kvDtype, policy, seed: given.seed, recordBlocks, recordLogits, history };
}

/**
 * Checks a policy against a block size and a number of layers; none is the full cache.
 *
 * @throws {OctavoError} ERR_OCTAVO_OPTION for what is no policy; ERR_OCTAVO_BUDGET for a budget that does not fit
 */
export function checkPolicy(given: unknown, blockSize: number, numLayers: number): Policy {
	const policy = (given === undefined ? full() : given) as Policy;
	if (!policyNames.includes(policy?.name)) {
		throw new OctavoError(
			"ERR_OCTAVO_OPTION",
			`Expected a policy made by policies.… for policy but received ${received(policy)}`,
		);
	}
	customScoreOf(policy);
	// A value written by hand or read from a file has passed no other check.
	checkFields(`policy ${policy.name}`, policy, Object.keys(policyOptions));
	if (policy.name !== "full") checkBudgetFits(checkBudget(policy.budget), blockSize, numLayers);
	const absent = policy.skipLayers?.find((layer) => !(layer < numLayers));
	if (absent === undefined) return policy;
	const expected = `layers from 0 to ${numLayers - 1} for skipLayers`;
	throw new OctavoError("ERR_OCTAVO_OPTION", `Expected ${expected} but received ${received(absent)}`);
}

// A cache grows to one block above its budget before it is cut; `page+remainder` keeps up to one block more.
function blocksWithinBudget(policy: Policy, blockSize: number, history: number, numKvHeads: number): number {
	const budget = Math.max(...budgetList(policy.budget!));
	const kept = budget / blockSize + 4;
	// Each block filled within the history parks one that was evicted for it.
	if (policy.granularity !== "token") return kept + (history === 0 ? 0 : Math.ceil(history / blockSize) + 1);
	// In each step a block may be parked for the copy that was written, and one of each head where they differ.
	const parked = history * (policy.heads === "per-head" ? numKvHeads : 1);
	// The least that holes leave of a block is one token.
	return (policy.holes === "mask" ? budget + 1 : kept) + parked;
}

/** What a model says of decoding, where the caller says nothing. */
export interface DecodeDefaults {
	/** Absent: greedy. */
	sampling: SamplingSpec | undefined;
	endTokens: readonly number[];
}

const stepChecks = ({ sampling }: DecodeDefaults) => ({
	sampling: (value: unknown) => (value === undefined && sampling ? sampling : checkSampling(value)),
	signal: instanceOf(AbortSignal),
});

/** Checks the options of a step. */
export function checkStep(
	owner: string,
	options: unknown,
	defaults: DecodeDefaults,
): Pick<CheckedRun, "sampling" | "signal"> {
	return checkOptions(owner, options, stepChecks(defaults));
}

/** Checks the options of a run. */
export function checkRun(owner: string, options: unknown, defaults: DecodeDefaults): CheckedRun {
	return checkOptions(owner, options, {
		...stepChecks(defaults),
		maxTokens: integer(0, 2 ** 31 - 1, 256),
		endTokens: (value: unknown, name: string) => toTokens(value ?? defaults.endTokens, name),
	});
}

/** Options of `view`. */
export interface SessionViewOptions {
	/** Layers drawn. Default: the first four. */
	layers?: readonly number[];
	/** Tokens that the button "continue" decodes at most; from 1. Default 64. */
	maxTokens?: number;
}

/** Checks the options of `view`. @throws {OctavoError} ERR_OCTAVO_OPTION */
export function checkView(options: unknown, numLayers: number): { layers: readonly number[]; maxTokens: number } {
	const { layers, maxTokens } = checkOptions("view()", options, {
		layers: anything,
		maxTokens: integer(1, 2 ** 31 - 1, 64),
	});
	if (layers === undefined) return { layers: Array.from({ length: Math.min(4, numLayers) }, (_, i) => i), maxTokens };
	if (Array.isArray(layers) && layers.length > 0) return { layers, maxTokens };
	throw new OctavoError("ERR_OCTAVO_OPTION", `Expected a list of layers for layers but received ${received(layers)}`);
}

/** Tokens, or text for a model with a vocabulary. */
export type Prompt = string | Int32Array | readonly number[];

/**
 * Tokens as the engine takes them.
 *
 * @param addSpecialTokens adds what belongs around a whole prompt of text, such as the token that begins a sequence
 *
 * @throws {OctavoError} ERR_OCTAVO_TOKENIZER for text where there is no tokenizer; ERR_OCTAVO_TOKEN for what is no list of
 * token ids, which the engine checks against the vocabulary
 */
export function promptTokens(prompt: unknown, tokenizer: Tokenizer | undefined, addSpecialTokens: boolean): Int32Array {
	if (typeof prompt !== "string") return toTokens(prompt, "tokens");
	if (tokenizer) return tokenizer.encode(prompt, { addSpecialTokens });
	const expected = "token ids, as the model's folder has neither tokenizer.json nor vocabulary.json,";
	throw new OctavoError("ERR_OCTAVO_TOKENIZER", `Expected ${expected} but received text`);
}

/** Token ids as the engine takes them. @throws {OctavoError} ERR_OCTAVO_TOKEN for what is no list of them */
export function toTokens(value: unknown, name: string): Int32Array {
	if (value instanceof Int32Array) return value;
	if (Array.isArray(value)) {
		const wrong = value.findIndex((token) => !Number.isInteger(token) || token < 0 || token >= 2 ** 31);
		if (wrong < 0) return Int32Array.from(value);
		throw new OctavoError(
			"ERR_OCTAVO_TOKEN",
			`Expected a token id for ${name}[${wrong}] but received ${received(value[wrong])}`,
		);
	}
	const isPrompt = typeof value === "object" && value !== null && "context" in value;
	const hint = isPrompt ? "; did you mean its context?" : "";
	throw new OctavoError(
		"ERR_OCTAVO_TOKEN",
		`Expected an array of token ids for ${name} but received ${received(value)}${hint}`,
	);
}
