// The one typed contract between the SDK and the native engine: everything that crosses the boundary is named here.
// Every call may throw an Error with a `code` (ERR_OCTAVO_…); bad input never ends the process.

/** Hardware and libraries the engine found, as shown to the user. */
export interface EngineInfo {
	version: string;
	/** Instruction set the CPU ops run with on this machine. */
	simd: "avx512" | "avx2" | "portable";
	/** What multiplies large matrices. */
	gemm: "onednn" | "plain";
	numThreads: number;
	/** CUDA ops compiled in, and devices the driver reports (0 without a driver). */
	cuda: { compiled: boolean; numDevices: number };
}

export interface RopeScalingSpec {
	factor: number;
	lowFreqFactor: number;
	highFreqFactor: number;
	originalMaxPositions: number;
}

/** Shape of a Llama-architecture decoder. */
export interface LlamaSpec {
	numLayers: number;
	hiddenSize: number;
	intermediateSize: number;
	numQueryHeads: number;
	numKvHeads: number;
	headDim: number;
	vocabSize: number;
	/** Positions the model was made for; a session refuses to go beyond. */
	maxPositions: number;
	rmsNormEps: number;
	ropeTheta: number;
	ropeScaling?: RopeScalingSpec;
	tieWordEmbeddings: boolean;
}

/** One tensor of a safetensors file. Byte offsets count from the file's start. */
export interface WeightSource {
	name: string;
	dtype: "F32" | "BF16" | "F16";
	shape: number[];
	path: string;
	offsetBytes: number;
	sizeBytes: number;
}

/** A native array seen without a copy: `buffer` lies over native memory and keeps it alive. */
export interface NativeTensor {
	buffer: ArrayBuffer;
	dtype: "f32" | "bf16" | "f16" | "i32";
	shape: number[];
}

export interface NativeModel {
	readonly numParameters: number;
	readonly sizeBytes: number;
	weightNames(): string[];
	/** A view of the mapped file. Writing to it changes this model in memory, never the file. */
	weight(name: string): NativeTensor;
	createSession(spec: SessionSpec): NativeSession;
	createBatch(spec: BatchSpec): NativeBatch;
	/** Frees the weights once the last session and view is gone. Later calls throw ERR_OCTAVO_CLOSED. */
	dispose(): void;
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
	/** KV tokens kept per layer. Absent for `full`. */
	budget?: number;
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

/** Which happenings make `advance` return in the middle of a step, before they take effect. */
export interface StopSpec {
	/** Before tokens or a block are dropped. */
	evict?: boolean;
	/** Right after the newest block of a layer becomes full, before any eviction it triggers. */
	blockFull?: boolean;
	/** After each layer of a step. */
	layerEnd?: boolean;
	/** Before a key or value that is not finite fails the step; going on fails it. */
	nan?: boolean;
	/** Only in this layer. */
	layer?: number;
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

/**
 * Nothing goes and the cache grows; or another block goes, by its place in the table, any but the newest, or another token,
 * by its position. At a stop for scores: a score for each candidate, none NaN.
 */
export type DecisionSpec = { veto: true } | { replaceWith: number } | { scores: Float32Array };

export interface EvictEvent {
	kind: "evict";
	stepIndex: number;
	layer: number;
	phase: "prefill" | "decode";
	/** `token`: single tokens, of the prompt before they are paged; `block`: one whole block. */
	granularity: "token" | "block";
	/** All layers share the decision: it is layer 0's, and stands in the others. */
	shared: boolean;
	/** The head that chose, where each chooses for itself: one event a head. */
	kvHead?: number;
	/** Place in the block table of the block, or of that of one cached token; absent for a prompt's tokens, and for several. */
	logicalIndex?: number;
	/** Physical block; absent as `logicalIndex` is. */
	blockId?: number;
	/** Slot of one cached token in its block. */
	slotIndex?: number;
	/** RoPE positions of the tokens that go. */
	positions: Int32Array;
	/** Score of what goes: the block's, or the highest among the tokens that go. */
	score: number;
	/** Lowest score among the candidates that stay; NaN when all go. */
	runnerUpScore: number;
	/** Logical block indices, or positions for tokens, that could have gone. */
	candidates: Int32Array;
	candidateScores: Float32Array;
}

export interface BlockFullEvent {
	kind: "block-full";
	stepIndex: number;
	layer: number;
	logicalIndex: number;
	blockId: number;
}

/** A layer of a step is done. */
export interface LayerEvent {
	kind: "layer";
	stepIndex: number;
	layer: number;
}

/** A layer made a key or value that is not finite. */
export interface NanEvent {
	kind: "nan";
	stepIndex: number;
	layer: number;
	tensor: "key" | "value";
	/** RoPE position of its token. */
	position: number;
	kvHead: number;
}

/** A policy `custom` asks for scores; comes again at each `advance` until a decision brings them. */
export interface ScoreEvent {
	kind: "score";
	stepIndex: number;
	layer: number;
	phase: "prefill" | "decode";
	granularity: "token" | "block";
	/** Logical block indices, ascending; or the RoPE positions of all live tokens, in the order of their slots. */
	candidates: Int32Array;
}

/** What a caller may score by, of all live tokens of the layer that is asked for; empty arrays where it was not asked for. Copies. */
export interface ScoringInputs {
	numKvHeads: number;
	headDim: number;
	/** Decode: physical block times block size plus the place in the block. */
	slots: Int32Array;
	/** Prefill: [num_tokens, num_kv_heads, head_dim]. */
	keys: Float32Array;
	values: Float32Array;
	/** [num_tokens, num_kv_heads]. */
	keyNorms: Float32Array;
	valueNorms: Float32Array;
	/** [num_tokens]. */
	attentionMass: Float32Array;
	/** [num_query_heads, head_dim]. */
	lastQuery: Float32Array;
}

export type EngineEvent = EvictEvent | BlockFullEvent | LayerEvent | NanEvent | ScoreEvent;

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
	/** The same off the main thread. */
	advanceAsync(request: AdvanceRequest): Promise<AdvanceResult>;
	/** Asks a running `advance` to return at the next layer boundary. Callable at any time, from any thread. */
	cancel(): void;
	/** Tokens seen, which is the next RoPE index. */
	readonly numTokens: number;
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

/** A pool that many sequences share. */
export interface BatchSpec {
	/** Slots per block. 1 to 256. */
	blockSize: number;
	/** Physical blocks in each layer's pool. */
	numBlocks: number;
	/** What keys and values are stored as. Default f32. */
	kvDtype?: "f32" | "bf16" | "f16";
	/** Sequences that run at once, at most. */
	maxSequences: number;
	/** Blocks of each pool that stay free when a sequence is let in beside others. */
	watermark: number;
}

/** A sequence to decode in a batch. */
export interface BatchRequestSpec {
	prompt: Int32Array;
	maxTokens: number;
	policy: PolicySpec;
	/** Key of its random choices: a session with this seed makes the same ones. */
	seed: number;
	sampling: SamplingSpec;
	endTokens?: Int32Array;
	/** Not let in before, in whole microseconds of the batch's clock. Default: when it is added. */
	arrivalUs?: number;
	/** Default false, as that of `recordLogits`. */
	recordBlocks?: boolean;
	recordLogits?: boolean;
}

export interface BatchAdvanceRequest {
	/** Steps of the batch to complete. */
	maxSteps: number;
	/** Where to stop, by sequence. */
	stops?: { sequence: number; stop: StopSpec }[];
	/** Of the sequence that the last advance stopped in. */
	decision?: DecisionSpec;
}

export type BatchAdvanceResult =
	/** `maxSteps` are done, no sequence is left to run, or `stop()` was called. */
	| { reason: "steps" | "done" | "cancelled"; numSteps: number }
	/** Nothing to do until the next sequence arrives. */
	| { reason: "idle"; numSteps: number; waitUs: number }
	/** Stopped inside a step of a sequence; the next `advance` goes on from here. */
	| { reason: "event"; numSteps: number; sequence: number; event: EngineEvent };

/** Many sequences over one pool of blocks a layer, decoded together. */
export interface NativeBatch {
	/** Queues a sequence, at any time. Its session can be looked at while no advance is under way, and only that (ERR_OCTAVO_BATCH). */
	add(request: BatchRequestSpec): { id: number; session: NativeSession };
	/** Ends a sequence before the next step. At any time. */
	cancel(id: number): void;
	advance(request: BatchAdvanceRequest): BatchAdvanceResult;
	/** The same off the main thread. */
	advanceAsync(request: BatchAdvanceRequest): Promise<BatchAdvanceResult>;
	/** Asks a running `advance` to return at the next layer boundary; the batch can go on. */
	stop(): void;
	/** One row a sequence, by the column names of sdk/trace/batch-schema.ts. */
	requests(): NativeColumns;
	/** One row a step since the last call, likewise. */
	takeSteps(): NativeColumns;
	/** Why a sequence failed. */
	failure(id: number): { code: string; message: string } | undefined;
	/** Gives up what has not ended. Later calls throw ERR_OCTAVO_CLOSED; views and sessions stay valid. */
	dispose(): void;
}

/** What `octavo.node` exports. */
export interface Addon {
	engineInfo(): EngineInfo;
	/** Threads for all ops of this process, from 1 to 256. */
	setNumThreads(numThreads: number): void;
	openModel(spec: LlamaSpec, weights: WeightSource[]): NativeModel;
	/** A model of this shape with seeded random weights, for benchmarks. */
	randomModel(spec: LlamaSpec, seed: number): NativeModel;
	/** Source of a paged attention call for tests and teaching; the engine's own op on plain arrays. */
	pagedAttention(request: {
		numQueryHeads: number;
		numKvHeads: number;
		headDim: number;
		blockSize: number;
		query: Float32Array;
		keyCache: Float32Array;
		valueCache: Float32Array;
		blockTable: Int32Array;
		kvLen: number;
		scale: number;
	}): Float32Array;
}
