// Where a step of a session or batch may stop, what it then tells, and what a caller may decide there. Part of the contract
// in addon.ts.

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
