// A session's half of the contract in addon.ts: what it is made with, what it is asked, what it shows.

import type { DecisionSpec, EngineEvent, ScoringInputs, StopSpec } from "./addon-events.js";

/** A native array seen without a copy: `buffer` lies over native memory and keeps it alive. */
export interface NativeTensor {
	buffer: ArrayBuffer;
	dtype: "f32" | "bf16" | "f16" | "i32";
	shape: number[];
}

/** A policy as the engine knows it: a name and its options, all checked again natively. */
export interface PolicySpec {
	name:
		| "full"
		| "paged-eviction"
		| "streaming-llm"
		| "inverse-key-norm"
		| "key-diff"
		| "snap-kv"
		| "tova"
		| "h2o"
		| "custom"
		| "random";
	/** KV tokens kept per layer, or in each layer. Absent for `full`. */
	budget?: number | readonly number[];
	/** paged-eviction: what a token's score is. Default `value-key-ratio` (mean over heads of ‖V‖₂ / ‖K‖₂). */
	score?: "value-key-ratio" | "value-key-ratio-of-means" | "value-norm" | "inverse-key-norm" | "key-value-norm-sum";
	/** paged-eviction, decode: candidates are all unprotected blocks, or the oldest three. Default `global`. */
	candidates?: "global" | "local";
	/** paged-eviction, prefill: protect the last block's tokens, keeping exactly the budget (`page`), or the last block and the remainder. Default `page`. */
	tailProtect?: "page" | "page+remainder";
	/** snap-kv: last queries of the prompt, which score its tokens and stay; from 1 to `budget - blockSize`. Default 32, or half the budget where that is less. */
	window?: number;
	/** snap-kv: neighbouring tokens whose scores are pooled; odd. Default 5. */
	poolingWidth?: number;
	/** snap-kv: a token's score is the mean of its neighbours', with zeros beyond the ends, or the largest. Default `avg`. */
	pooling?: "avg" | "max";
	/** custom: what the scores are made of; `attentionMass` is summed up in every step. Default: none of these. */
	needs?: readonly ("norms" | "attentionMass" | "lastQuery")[];
	/** h2o: what a token got is divided by how many queries could see it. Default false. */
	normalised?: boolean;
	/** One decision for all layers, by this reduction of their scores. Absent: each layer decides for itself. Not for `full`. */
	shared?: "layer-0" | "mean-score" | "mean-rank";
	/** Whether a prompt is cut before it attends; not where it is scored by its attention or by a mean over layers. Default `full`. */
	prefillAttention?: "full" | "evicted";
	/** What leaves at once in decode: a block each time the newest is full over budget, or a token a step. Default `block`. */
	granularity?: "block" | "token";
	/**
	 * With tokens: what becomes of the freed slot. `recycle`: the newest token takes it. `mask`: it stays as a hole, and a block
	 * goes with its last token. `compact`: as `mask`, until the holes add up to a block; then the tokens of the sparsest block move.
	 * Default `recycle`.
	 */
	holes?: "recycle" | "mask" | "compact";
	/** Whether the KV heads of a layer keep the same tokens or each its own, equally many. Default `shared`. */
	heads?: "shared" | "per-head";
	/** streaming-llm: where kept keys stand to the query: as they were seen, or by their place in the cache. Default `original`. */
	positions?: "original" | "reassigned";
	/** streaming-llm: first tokens that stay. Default: the first block; with tokens 4. */
	sinks?: number;
	/** h2o: newest tokens that stay whatever their scores. Default: half the budget. */
	recent?: number;
	/** tova, with tokens: whether the newest tokens stay whatever their scores. Default true. */
	protectNewest?: boolean;
	/** inverse-key-norm: layers that keep everything. Default: none. */
	skipLayers?: readonly number[];
	/** random: key of the counter-based generator. Default: the session's seed. */
	seed?: number;
}

export interface SessionSpec {
	/** Slots per block. 1 to 256. */
	blockSize: number;
	/** Physical blocks in each layer's pool. */
	numBlocks: number;
	/** What keys and values are stored as. Default f32. */
	kvDtype?: "f32" | "bf16" | "f16";
	policy: PolicySpec;
	/** Key of every random choice (sampling, random policy). An integer from 0 to 2^53 - 1. */
	seed: number;
	/** Whether `blocks` rows (one per block, layer and step) are recorded; the largest table by far. */
	recordBlocks: boolean;
	/** Whether `logits` rows (the whole vocabulary, one per step) are recorded. Default false. */
	recordLogits?: boolean;
	/** Completed steps that `rewind` can go back by; makes way when a pool runs out. Default 0. */
	history?: number;
}

export interface SamplingSpec {
	/** 0 is greedy (ties: the lowest token id). */
	temperature: number;
	/** Keep the k most likely tokens; 0 keeps all. */
	topK: number;
	/** Keep the smallest set with this much probability; 1 keeps all. */
	topP: number;
}

/** What `advance` should do. It continues a step it stopped in, if there is one. */
export interface AdvanceRequest {
	/** Steps to complete; prefill is one step, each decoded token one. */
	maxSteps: number;
	/** Tokens to feed in place of sampled ones, one a step, for the first decode steps that begin in this call. */
	forcedTokens?: Int32Array;
	sampling: SamplingSpec;
	/** Sampling one of these ends the run after its step. */
	endTokens?: Int32Array;
	stop?: StopSpec;
	/** Only where the session stopped before an eviction in decode: what to do in place of the policy's choice. */
	decision?: DecisionSpec;
}

export type AdvanceResult =
	/** `maxSteps` are done. */
	| { reason: "steps"; numSteps: number }
	/** An end token was sampled; it is in the trace and in `tokens()`, and its key and value are cached. */
	| { reason: "end-token"; numSteps: number; token: number }
	/** Stopped inside a step; the next `advance` goes on from here. */
	| { reason: "event"; numSteps: number; event: EngineEvent }
	/** `cancel()` was called; the session stands between two steps or inside one, and can go on. */
	| { reason: "cancelled"; numSteps: number };

/** The cache of one layer; the views stay valid, and show later changes, for the session's life and beyond. */
export interface LayerCache {
	/** [num_blocks, num_kv_heads, block_size, head_dim] of the session's `kvDtype`, after RoPE. */
	keys: NativeTensor;
	/** [num_blocks, num_kv_heads, block_size, head_dim] of the session's `kvDtype`. */
	values: NativeTensor;
	/** i32 [num_blocks, block_size], or [num_blocks, num_kv_heads, block_size] where heads differ; -1 in slots never filled. */
	positions: NativeTensor;
}

/** The block table of one layer, now. Arrays are copies. */
export interface LayerState {
	/** Physical ids in logical order. */
	blockIds: Int32Array;
	/** Filled slots of each block, holes among them. */
	filled: Int32Array;
	/** Holes, by their place in the table: logical index times block size, plus the slot in the block. */
	deadSlots: Int32Array;
	/** Score of each block as the policy sees it; NaN where it has none yet. */
	scores: Float32Array;
	refCounts: Int32Array;
	/** Live slots: what attention reads. */
	kvLen: number;
	numFreeBlocks: number;
	/** Blocks that only snapshots and history hold. */
	numParkedBlocks: number;
}

/** Columns of one trace table since the last take, by the column names of sdk/trace/schema.ts; list columns as offsets and values. */
export type NativeColumns = Record<
	string,
	Int32Array | Float32Array | Float64Array | Uint8Array | { offsets: Int32Array; values: Int32Array | Float32Array }
>;

export interface NativeTrace {
	steps: NativeColumns;
	blocks: NativeColumns;
	evictions: NativeColumns;
	memory: NativeColumns;
	logits: NativeColumns;
}

/** A snapshot by its id, tokens seen, or the index of the step that comes next. 0 tokens or step 0 empties the session. */
export type RewindTarget = { snapshot: number } | { tokens: number } | { stepIndex: number };

export interface NativeSession {
	/** Takes the prompt as the next step's input; `advance` runs it. Only on an empty session. */
	prefill(tokens: Int32Array): void;
	/** Runs on the calling thread. ERR_OCTAVO_BUSY while an asynchronous call is under way. */
	advance(request: AdvanceRequest): AdvanceResult;
	/**
	 * The same off the main thread. Without a request: what it was last asked, which is then not read again;
	 * ERR_OCTAVO_ARGUMENT where that had `forcedTokens` or a `decision`, which serve once.
	 */
	advanceAsync(request?: AdvanceRequest): Promise<AdvanceResult>;
	/** Asks a running `advance` to return at the next layer boundary. Callable at any time, from any thread. */
	cancel(): void;
	/** Tokens seen, which is the next RoPE index. */
	readonly numTokens: number;
	/** Whether an `advanceAsync`, its own or its batch's, is under way. Readable at any time, also after `dispose`. */
	readonly busy: boolean;
	/** Whether a stop or a cancel left a step under way, which the next `advance` goes on with. */
	readonly insideStep: boolean;
	/** All tokens of completed steps: the prompt, then forced and sampled ones. */
	tokens(): Int32Array;
	/** f32 [vocab_size]: logits after the last completed step. A view: the next step overwrites it. */
	logits(): NativeTensor;
	layerCache(layer: number): LayerCache;
	layerState(layer: number): LayerState;
	/** The trace's rows since the last call; native memory handed over without a copy. */
	takeTrace(): NativeTrace;
	/**
	 * Rows of completed steps from index `firstStep` on that `takeTrace` has not taken, as a copy in one array: the number
	 * of steps and a row for each, then the number of their evictions and a row for each. A row has the columns of its table
	 * in the schema's order: a number, or for a list its length and its values.
	 */
	stepRows(firstStep: number): Float64Array;
	/** Keeps where the last completed step left the session; gives an id. No K/V is copied. */
	takeSnapshot(): number;
	/** ERR_OCTAVO_SNAPSHOT for an id that is not kept. */
	dropSnapshot(id: number): void;
	/** Goes to another completed step and gives the index of the next; what is under way is taken back. ERR_OCTAVO_SNAPSHOT, ERR_OCTAVO_HISTORY. */
	rewind(target: RewindTarget): number;
	/** Token counts that `rewind` can go back to, besides 0; ascending. */
	rewindPoints(): Int32Array;
	/** A session that goes on from the last completed step, with blocks shared copy on write. */
	fork(spec: { policy?: PolicySpec; seed?: number }): NativeSession;
	/** f32 [num_query_heads, kv_len]: attention of the last token's query over live slots. ERR_OCTAVO_PATTERN. */
	attentionPattern(layer: number): Float32Array;
	/** At a stop for scores: what `needs` names. ERR_OCTAVO_ARGUMENT elsewhere. */
	scoringInputs(needs: readonly string[]): ScoringInputs;
	/** Returns every block to the pool. Later calls throw ERR_OCTAVO_CLOSED; views stay valid. */
	dispose(): void;
}
