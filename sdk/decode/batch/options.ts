// Options of a batch and of its sequences, with their checks and defaults.

import type { BatchForkSpec, BatchRequestSpec, BatchSpec } from "../../../native/addon.js";
import { OctavoError, received } from "../../errors.js";
import type { ModelConfig } from "../../model/config.js";
import { anything, boolean, checkOptions, instanceOf, integer, number, oneOf, optional } from "../../options.js";
import { checkPolicy, type DecodeDefaults, type RunOptions, toTokens } from "../options.js";
import type { Policy } from "../policies/policy.js";
import { checkSampling } from "../sampling.js";
import { checkFork, type ForkOptions } from "../time-travel.js";
import type { BatchProgress } from "./progress.js";

/** Options of `model.batch`. */
export interface BatchOptions {
	/** Slots per block, from 1 to 256. Default 16. */
	blockSize?: number;
	/** Physical blocks in each layer's pool, which all sequences share; from 1. Default: those of one full sequence. */
	numBlocks?: number;
	/** What keys and values are stored as, of all sequences; see `SessionOptions`. Default f32. */
	kvDtype?: "f32" | "bf16" | "f16";
	/** Sequences that run at once, at most; from 1. Default 64. */
	maxSequences?: number;
	/** Share of the blocks that stays free when a sequence is let in beside others, from 0 to 1. Default 0.01. */
	watermark?: number;
	/** Of sequences that are given none. Default `policies.full()`. */
	policy?: Policy;
	/** Sequence i has the seed `seed + i` where it is given none; from 0 to 2^52. Default 0. */
	seed?: number;
	/** Records each sequence's table `blocks`. Default false: many sequences make many rows. */
	recordBlocks?: boolean;
	/** Records each sequence's table `logits`. Default false. */
	recordLogits?: boolean;
	/** Completed steps that each sequence's `rewind` can go back by without a snapshot; makes way when blocks run out. From 0; default 0. */
	history?: number;
}

/** Options of `batch.add`. */
export interface AddOptions extends Pick<RunOptions, "maxTokens" | "endTokens" | "sampling"> {
	/** Default: the batch's. */
	policy?: Policy;
	/** Key of its random choices: a session with this seed makes the same ones. From 0. Default: the batch's and its number. */
	seed?: number;
	/** When it comes, in milliseconds from 0 on the batch's clock, which starts with its first call. Default: when it is added. */
	arrival?: number;
	/**
	 * Who of lower number arrived is let in first, comes back first and is swapped out last; whole, from -2^31 + 1 to
	 * 2^31 - 1. Changes when a sequence is computed, never what. Default 0.
	 */
	priority?: number;
	/** Default: as the batch's. */
	recordBlocks?: boolean;
	/** Default: as the batch's. */
	recordLogits?: boolean;
	/** Completed steps that its `rewind` can go back by without a snapshot; from 0. Default: as the batch's. */
	history?: number;
}

/** Options of a sequence's `fork`. What is given to none is as the parent has it. */
export interface SequenceForkOptions extends ForkOptions, Pick<RunOptions, "endTokens" | "sampling"> {
	/** Tokens decoded since the prompt after which it ends, those before the fork among them; more than these. Default: the parent's. */
	maxTokens?: number;
}

/** Options of `batch.run`. */
export interface BatchRunOptions {
	/** Stops at the next layer; the batch can go on. The promise rejects with the signal's reason. */
	signal?: AbortSignal;
	/** Called about ten times a second with where the batch stands, and at the end. */
	onProgress?: (progress: BatchProgress) => void;
	/** Steps to take, at most; from 0. Default: until no sequence is left. */
	maxSteps?: number;
}

/** Checked options of a batch. */
export interface CheckedBatch {
	spec: BatchSpec;
	policy: Policy;
	seed: number;
	recordBlocks: boolean;
	recordLogits: boolean;
	history: number;
	/** Of the model. */
	numLayers: number;
}

/** @throws {OctavoError} ERR_OCTAVO_OPTION naming the option; ERR_OCTAVO_BUDGET for a budget that does not fit the block size */
export function checkBatch(options: unknown, { maxPositions, numLayers }: ModelConfig): CheckedBatch {
	const given = checkOptions("batch()", options, {
		blockSize: integer(1, 256, 16),
		numBlocks: integer(1, 2 ** 31 - 1, 0),
		kvDtype: oneOf(["f32", "bf16", "f16"], "f32"),
		maxSequences: integer(1, 2 ** 31 - 1, 64),
		watermark: number(0, 1, 0.01),
		policy: anything,
		seed: integer(0, 2 ** 52, 0),
		recordBlocks: boolean(false),
		recordLogits: boolean(false),
		history: integer(0, 2 ** 31 - 1, 0),
	});
	const { blockSize, kvDtype, maxSequences, seed, recordBlocks, recordLogits, history } = given;
	const numBlocks = given.numBlocks || Math.ceil(maxPositions / blockSize);
	const watermark = Math.ceil(given.watermark * numBlocks);
	const policy = checkPolicy(given.policy, blockSize, numLayers);
	const spec = { blockSize, numBlocks, kvDtype, maxSequences, watermark };
	return { spec, policy, seed, recordBlocks, recordLogits, history, numLayers };
}

/**
 * @param id of the sequence
 * @throws {OctavoError} ERR_OCTAVO_OPTION naming the option; ERR_OCTAVO_BUDGET; ERR_OCTAVO_TOKEN for end tokens that are none
 */
export function checkAdd(
	options: unknown,
	batch: CheckedBatch,
	id: number,
	defaults: DecodeDefaults,
): Omit<BatchRequestSpec, "prompt"> {
	const given = checkOptions("add()", options, {
		maxTokens: integer(0, 2 ** 31 - 1, 256),
		endTokens: (value: unknown, name: string) => toTokens(value ?? defaults.endTokens, name),
		sampling: (value: unknown) => (value === undefined && defaults.sampling ? defaults.sampling : checkSampling(value)),
		policy: anything,
		seed: integer(0, Number.MAX_SAFE_INTEGER, batch.seed + id),
		arrival: optional(number(0, null, 0)),
		priority: integer(-(2 ** 31) + 1, 2 ** 31 - 1, 0),
		recordBlocks: boolean(batch.recordBlocks),
		recordLogits: boolean(batch.recordLogits),
		history: integer(0, 2 ** 31 - 1, batch.history),
	});
	const { arrival, ...rest } = given;
	const wanted = given.policy === undefined ? batch.policy : given.policy;
	const policy = checkPolicy(wanted, batch.spec.blockSize, batch.numLayers);
	return { ...rest, policy, ...(arrival === undefined ? {} : { arrivalUs: Math.round(arrival * 1e3) }) };
}

/** @throws {OctavoError} ERR_OCTAVO_OPTION naming the option; ERR_OCTAVO_BUDGET; ERR_OCTAVO_TOKEN for end tokens that are none */
export function checkSequenceFork(
	options: unknown,
	cache: { blockSize: number; numLayers: number },
): BatchForkSpec & { policy?: Policy } {
	const given = checkOptions("fork()", options, {
		policy: anything,
		seed: anything,
		maxTokens: optional(integer(1, 2 ** 31 - 1, 1)),
		sampling: (value: unknown) => (value === undefined ? undefined : checkSampling(value)),
		endTokens: (value: unknown, name: string) => (value === undefined ? undefined : toTokens(value, name)),
	});
	const { policy, seed, ...rest } = given;
	const wanted = Object.entries(rest).filter(([, value]) => value !== undefined);
	const changes = Object.fromEntries(Object.entries({ policy, seed }).filter(([, value]) => value !== undefined));
	return { ...checkFork(changes, cache), ...(Object.fromEntries(wanted) as BatchForkSpec) };
}

/** @throws {OctavoError} ERR_OCTAVO_OPTION naming the option */
export function checkBatchRun(owner: string, options: unknown) {
	return checkOptions(owner, options, {
		signal: instanceOf(AbortSignal),
		maxSteps: integer(0, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
		onProgress: (value: unknown): BatchRunOptions["onProgress"] => {
			if (value === undefined || typeof value === "function") return value as BatchRunOptions["onProgress"];
			const message = `Expected a function for onProgress but received ${received(value)}`;
			throw new OctavoError("ERR_OCTAVO_OPTION", message);
		},
	});
}
