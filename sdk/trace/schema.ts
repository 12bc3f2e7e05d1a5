// The one place where the tables and columns of a decoding trace are named. A column's unit stands last in its name; identities end
// in `_id`, positions in `_index`. The native recorder uses the same names, which a test compares.

/** Arrow type of a column: `i32[]` and `f32[]` are lists of variable length; `text` is UTF-8, dictionary encoded. */
export type ColumnType = "i32" | "f32" | "f64" | "bool" | "text" | "i32[]" | "f32[]";

export interface ColumnSchema {
	readonly type: ColumnType;
	/** What it holds, with unit and range; becomes Arrow field metadata. */
	readonly description: string;
	/** For `text` columns: the names that the recorder's numbers stand for. */
	readonly values?: readonly string[];
}

/** Columns of each table, in order. */
export const traceSchema = {
	steps: {
		step_index: { type: "i32", description: "Step; 0 is the prefill" },
		phase: { type: "text", description: "Phase of generation", values: ["prefill", "decode"] },
		token_id: { type: "i32", description: "Token fed in this step; the last prompt token for prefill" },
		position_index: { type: "i32", description: "RoPE position of that token" },
		num_tokens: { type: "i32", description: "Tokens fed in this step" },
		forced: { type: "bool", description: "The token was given by the caller, not sampled" },
		token_logprob: {
			type: "f32",
			description: "Natural log-probability the model gave the token before it was fed; NaN for prefill",
		},
		entropy: { type: "f32", description: "Entropy in nats of the distribution after this step" },
		total_us: { type: "f64", description: "Wall time of the step, in microseconds" },
		attention_us: { type: "f64", description: "Time in attention over all layers, in microseconds" },
		score_us: { type: "f64", description: "Time computing eviction scores, in microseconds" },
		evict_us: { type: "f64", description: "Time choosing, freeing and re-packing, in microseconds" },
	},
	blocks: {
		step_index: { type: "i32", description: "Step after which the row holds" },
		layer_index: { type: "i32", description: "Layer" },
		logical_index: { type: "i32", description: "Place in the layer's block table" },
		block_id: { type: "i32", description: "Physical block" },
		kv_head: { type: "i32", description: "KV head that the positions are of; -1 where all heads hold the same tokens" },
		filled: { type: "i32", description: "Filled slots of the block, holes among them" },
		score: { type: "f32", description: "The policy's score of the block, higher is kept; NaN while it has none" },
		positions: { type: "i32[]", description: "RoPE positions of the filled slots, in slot order; -1 in a hole" },
	},
	evictions: {
		eviction_id: { type: "i32", description: "Running number" },
		step_index: { type: "i32", description: "Step in which it happened" },
		layer_index: { type: "i32", description: "Layer" },
		phase: { type: "text", description: "Phase of generation", values: ["prefill", "decode"] },
		granularity: { type: "text", description: "What was dropped: tokens or one block", values: ["token", "block"] },
		logical_index: {
			type: "i32",
			description:
				"Place in the block table, before it went, of the block or of that of a cached token; -1 for a prompt's",
		},
		block_id: { type: "i32", description: "Physical block; -1 for a prompt's tokens" },
		slot_index: { type: "i32", description: "Slot in the block, of one cached token; -1 otherwise" },
		kv_head: { type: "i32", description: "KV head that dropped it; -1 for all" },
		freed: {
			type: "bool",
			description: "A physical block went back to the pool; false while a snapshot or fork has it",
		},
		chosen_by: {
			type: "text",
			description: "Whose choice it was: the policy's or the user's",
			values: ["policy", "user"],
		},
		score: { type: "f32", description: "Score of the block, or the highest among the tokens dropped" },
		runner_up_score: { type: "f32", description: "Lowest score among the candidates kept; NaN if none was" },
		positions: { type: "i32[]", description: "RoPE positions dropped" },
		candidates: {
			type: "i32[]",
			description:
				"Logical block indices (or positions, for tokens) that could have gone; of cached tokens with the table blocks only",
		},
		candidate_scores: { type: "f32[]", description: "Their scores, in the same order" },
	},
	memory: {
		step_index: { type: "i32", description: "Step after which the row holds" },
		layer_index: { type: "i32", description: "Layer" },
		live_tokens: { type: "i32", description: "Slots that attention reads" },
		allocated_tokens: { type: "i32", description: "Slots of all blocks in the table" },
		num_blocks: { type: "i32", description: "Blocks in the table" },
		num_free_blocks: { type: "i32", description: "Blocks left in the layer's pool" },
		num_parked_blocks: { type: "i32", description: "Blocks that only snapshots and history hold, to be brought back" },
		live_bytes: { type: "f64", description: "Bytes of live keys and values" },
		allocated_bytes: { type: "f64", description: "Bytes of all keys and values in allocated blocks" },
		fragmentation: { type: "f32", description: "1 - live / allocated, from 0 to 1" },
		num_nan_scores: { type: "i32", description: "NaN scores met so far, each treated as +infinity (kept)" },
	},
	logits: {
		step_index: { type: "i32", description: "Step after which they hold; recorded on option only" },
		logits: { type: "f32[]", description: "Logit of each token of the vocabulary, before temperature" },
	},
} as const satisfies Record<string, Record<string, ColumnSchema>>;

/** Name of a trace table. */
export type TraceTableName = keyof typeof traceSchema;

/** Names of the tables, in the order in which they are saved. */
export const traceTableNames = Object.keys(traceSchema) as TraceTableName[];
