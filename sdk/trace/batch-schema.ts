// The one place where the columns of a batch's tables are named. Times are microseconds on the batch's clock, which
// starts with its first call; the native batch uses the same names for what it records, which a test compares.

import type { IterationColumn } from "./iteration-schema.js";

const optionalTime = (description: string) => ({ type: "f64", nullable: true, description }) as const;

/** Version of the columns below, stated in the metadata of each file; a file that states none is of version 1. */
export const batchSchemaVersion = 2;

/** Columns of the tables of a batch. */
export const batchSchema = {
	requests: {
		sequence_id: { type: "i32", description: "Sequence, in the order of adding" },
		parent_id: { type: "i32", nullable: true, description: "Sequence that it was forked from; null: none" },
		state: { type: "text", description: "waiting, running, swapped, finished, cancelled or failed" },
		policy: { type: "text", description: "Name of its eviction policy" },
		budget: {
			type: "i32",
			nullable: true,
			description: "KV tokens kept per layer; null: all, or as layer_budgets says",
		},
		layer_budgets: {
			type: "text",
			nullable: true,
			since: 2,
			description: "KV tokens kept in each layer; null: as many in all",
		},
		priority: { type: "i32", description: "Lower ones are let in first and give way last" },
		arrival_us: { type: "f64", description: "When it came; of a fork, when it was made" },
		admitted_us: optionalTime("When its prompt was begun; of a fork, when it was made"),
		first_token_us: optionalTime("End of the step that sampled its first token, of a fork its own first"),
		finished_us: optionalTime("When it ended, in whatever way"),
		ttft_us: optionalTime("Time to first token, from its arrival"),
		tpot_us: optionalTime("Time per token it decoded after the first; null below two"),
		num_prompt_tokens: { type: "i32", description: "Tokens of its prompt" },
		num_output_tokens: { type: "i32", description: "Tokens decoded since the prompt, before a fork too" },
		num_decoded_tokens: { type: "i32", description: "Tokens it decoded itself, those that a rewind took back too" },
		num_preemptions: { type: "i32", description: "Times it was swapped out" },
		num_blocks_peak: { type: "i32", description: "Most blocks after a step, in the layer that had most" },
		error: { type: "text", nullable: true, description: "Code of what it failed with" },
	},
	throughput: {
		batch_step_index: { type: "i32", description: "Step of the batch: prompts of those let in, then a token of each" },
		start_us: { type: "f64", description: "When it began" },
		num_running: { type: "i32", description: "Sequences that run, after it" },
		num_waiting: { type: "i32", description: "Sequences not let in yet, after it" },
		num_swapped: { type: "i32", description: "Sequences swapped out, after it" },
		num_admitted: { type: "i32", description: "Sequences let in" },
		num_preempted: { type: "i32", description: "Sequences swapped out in this step" },
		num_resumed: { type: "i32", description: "Sequences swapped back in" },
		num_ended: { type: "i32", description: "Sequences that ended" },
		num_free_blocks: { type: "i32", description: "Free blocks after it, of the layer that has fewest" },
		num_prompt_tokens: { type: "i32", description: "Tokens of prompts computed" },
		num_output_tokens: { type: "i32", description: "Tokens decoded, one of each sequence that ran" },
		swapped_bytes: { type: "f64", description: "Bytes of keys and values moved out and back" },
		total_us: { type: "f64", description: "Wall time, in microseconds" },
		swap_us: { type: "f64", description: "Time swapping, in microseconds" },
		prefill_us: { type: "f64", description: "Time in prompts, in microseconds" },
		products_us: { type: "f64", description: "Decode: time in products by weights, in microseconds" },
		attention_us: { type: "f64", description: "Decode: time in attention, in microseconds" },
		cache_us: { type: "f64", description: "Decode: time writing the cache, scoring and evicting, in microseconds" },
		sample_us: { type: "f64", description: "Decode: time sampling and recording, in microseconds" },
	},
	summary: {
		num_sequences: { type: "i32", description: "Sequences added" },
		num_finished: { type: "i32", description: "Sequences that finished" },
		num_prompt_tokens: { type: "f64", description: "Tokens of prompts computed" },
		num_output_tokens: { type: "f64", description: "Tokens decoded" },
		wall_us: { type: "f64", description: "Sum of the steps' wall times, in microseconds" },
		total_tokens_per_s: { type: "f64", nullable: true, description: "Prompt and output tokens a second of wall_us" },
		output_tokens_per_s: { type: "f64", nullable: true, description: "Output tokens a second of wall_us" },
		ttft_median_us: optionalTime("Median time to first token"),
		ttft_p95_us: optionalTime("95th percentile of it, nearest rank"),
		tpot_median_us: optionalTime("Median time per output token"),
		tpot_p95_us: optionalTime("95th percentile of it, nearest rank"),
		most_at_once: { type: "i32", description: "Most sequences that decoded in one step" },
		mean_at_once: { type: "f64", nullable: true, description: "Mean over the steps that decoded" },
		num_preemptions: { type: "i32", description: "Times a sequence was swapped out" },
		least_free_blocks: { type: "i32", nullable: true, description: "Fewest free blocks after a step" },
	},
} as const satisfies Record<string, Record<string, IterationColumn>>;

/** Name of a table of a batch. */
export type BatchTableName = keyof typeof batchSchema;

/** Names of the tables of a batch, in the order in which they are saved. */
export const batchTableNames = Object.keys(batchSchema) as BatchTableName[];
