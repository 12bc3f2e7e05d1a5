// A batch: many sequences over one pool of blocks a layer, decoded together. What a sequence computes does not depend on
// the others; when it computes it does.

import type { NativeBatch } from "../../../native/addon.js";
import { native, OctavoError } from "../../errors.js";
import type { BatchMetadata, BatchTable, BatchTrace } from "../../trace/batch-trace.js";
import { type Prompt, promptTokens } from "../options.js";
import type { SessionModel } from "../session-view.js";
import { BatchEngine, type BatchStop } from "./engine.js";
import { type AddOptions, type BatchRunOptions, type CheckedBatch, checkAdd, checkBatchRun } from "./options.js";
import { BatchProgress } from "./progress.js";
import type { BatchStepRow } from "./record.js";
import { BatchSequence } from "./sequence.js";

// A run looks up this often: progress and interrupts between steps cost little, and added sequences wait little.
const sliceUs = 100_000;
const longestSlice = 256;

/** Why a run of a batch ended. */
export type BatchRunResult =
	/** No sequence is left to run, or `maxSteps` are done. */
	| { reason: "done" | "max-steps"; numSteps: number }
	/** A breakpoint of a sequence held; the batch stands inside a step, which the next call goes on with. */
	| ({ reason: "breakpoint"; numSteps: number } & BatchStop);

/** What a batch needs of its model. */
export interface BatchModel extends Omit<SessionModel, "policy" | "metadata"> {
	metadata: BatchMetadata;
}

/**
 * Decodes many sequences over one pool of blocks a layer: continuous batching. Each step lets in the prompts that the pool
 * has blocks for, then decodes a token of every running sequence, with one pass over the weights for all. A sequence
 * decodes to the same bits as alone in a session. Where blocks run out the newest sequence is swapped out, and goes on
 * later from where it stood.
 *
 * @example
 * ```ts
 * import { loadModel, policies, tasks } from "octavo";
 * const model = await loadModel();
 * using batch = model.batch({ blockSize: 8, numBlocks: 40, seed: 7 });
 * const first = batch.add(tasks.recall({ seed: 1 }).context, { maxTokens: 4, endTokens: [] });
 * const second = batch.add(tasks.recall({ seed: 2 }).context, {
 *   policy: policies.pagedEviction({ budget: 32 }), maxTokens: 40, endTokens: [], arrival: 5,
 * });
 * for await (const step of first.steps()) if (step.index === 1) break;   // drives the batch
 * await batch.run();
 * console.log(first.state, second.layer(0).kvLen, batch.requests.numRows);   // finished 0 2
 * const { tokens } = await second.result();
 * console.log(tokens.length, second.trace.table("evictions").numRows > 0);   // 40 true
 * ```
 */
export class Batch {
	readonly #engine: BatchEngine;
	readonly #model: BatchModel;
	readonly #checked: CheckedBatch;

	/** Made by `model.batch`. */
	constructor(batch: NativeBatch, model: BatchModel, checked: CheckedBatch) {
		this.#engine = new BatchEngine(batch);
		this.#model = model;
		this.#checked = checked;
	}

	/** All sequences, in the order of adding. */
	get sequences(): readonly BatchSequence[] {
		return this.#engine.sequences;
	}

	/**
	 * Queues a sequence: first come, first served among those of a `priority`. At any time, also while the batch runs.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_POOL_EXHAUSTED for a prompt that even the empty pool cannot take;
	 * ERR_OCTAVO_TOKENIZER, ERR_OCTAVO_TOKEN, ERR_OCTAVO_POSITION, ERR_OCTAVO_BUDGET, ERR_OCTAVO_OPTION, ERR_OCTAVO_CLOSED
	 */
	add(prompt: Prompt, options: AddOptions = {}): BatchSequence {
		const engine = this.#engine;
		if (engine.closed) throw new OctavoError("ERR_OCTAVO_CLOSED", "Expected an open batch but it was closed");
		const { metadata, ...model } = this.#model;
		const tokens = promptTokens(prompt, model.tokenizer, true);
		const request = checkAdd(options, this.#checked, engine.sequences.length, model);
		const added = native(() => engine.native.add({ ...request, prompt: tokens }));
		const { policy, seed } = request;
		const { name, ...policyOptions } = policy;
		const { version, model: modelName, engine: machine, blockSize, numBlocks } = metadata;
		const run = { version, created: new Date().toISOString(), model: modelName, policy: name, policyOptions };
		const ofSession = { ...run, blockSize, numBlocks, numLayers: model.numLayers, seed, engine: machine };
		return new BatchSequence(added, { ...model, policy, metadata: ofSession }, tokens.length, engine);
	}

	/**
	 * Runs until no sequence is left, a breakpoint of one holds, or `maxSteps` are done; waits for those that have yet to
	 * arrive. What a sequence fails with is its own `error`, and the others go on.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_CLOSED, ERR_OCTAVO_OPTION
	 */
	async run(options: BatchRunOptions = {}): Promise<BatchRunResult> {
		const { signal, maxSteps, onProgress } = checkBatchRun("run()", options);
		let numSteps = 0;
		let stepUs = sliceUs;
		while (numSteps < maxSteps) {
			const slice = Math.max(1, Math.min(longestSlice, Math.round(sliceUs / stepUs), maxSteps - numSteps));
			const { rows, done, stop } = await this.#engine.tick({ signal, maxSteps: slice, stops: true });
			numSteps += rows.length;
			stepUs = rows.at(-1)?.total_us || stepUs;
			onProgress?.(this.progress);
			if (stop) return { reason: "breakpoint", numSteps, ...stop };
			if (done) return { reason: "done", numSteps };
		}
		return { reason: "max-steps", numSteps };
	}

	/** Steps of the batch one by one, until no sequence is left; passes over breakpoints. Leave the loop at will and go on later. */
	async *steps(options: Pick<BatchRunOptions, "signal"> = {}): AsyncGenerator<BatchStepRow, void, undefined> {
		const { signal } = checkBatchRun("steps()", options);
		for (;;) {
			const { rows, done } = await this.#engine.tick({ signal });
			yield* rows;
			if (done) return;
		}
	}

	/** Where the batch stands; while a call is under way, as of before that. */
	get progress(): BatchProgress {
		this.#engine.refresh();
		const { record, sequences } = this.#engine;
		const numOutputTokens = record.steps.reduce((sum, row) => sum + row.num_output_tokens, 0);
		const wallUs = record.steps.reduce((sum, row) => sum + row.total_us, 0);
		const outputTokensPerSecond = wallUs > 0 ? (numOutputTokens / wallUs) * 1e6 : 0;
		return new BatchProgress({
			...{ numSequences: sequences.length, numOutputTokens, outputTokensPerSecond },
			...record.counts(sequences.length),
		});
	}

	/** The record of the batch up to now; while a call is under way, as of before that. Stays readable after `close`. */
	get trace(): BatchTrace {
		this.#engine.refresh();
		return this.#engine.record.trace(this.sequences, this.#model.metadata);
	}

	/** The table `requests`: a row a sequence. */
	get requests(): BatchTable {
		return this.trace.table("requests");
	}

	/** The table `throughput`: a row a step. */
	get throughput(): BatchTable {
		return this.trace.table("throughput");
	}

	/** The table `summary`: one row with rates, and medians and 95th percentiles of TTFT and TPOT. */
	get summary(): BatchTable {
		return this.trace.table("summary");
	}

	/**
	 * Gives up what has not ended, and the pools. Sequences and trace stay to be looked at.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_BUSY while a call is under way
	 */
	close(): void {
		this.#engine.close();
	}

	/** `close`, for `using`. */
	[Symbol.dispose](): void {
		this.close();
	}

	/** Shows where the batch stands. */
	[Symbol.for("Jupyter.display")](): Record<string, string> {
		const { model, numBlocks, blockSize } = this.#model.metadata;
		const state = this.#engine.closed ? "closed" : this.progress.toString();
		return { "text/plain": `Batch on ${model}, ${numBlocks} blocks of ${blockSize} a layer: ${state}` };
	}
}
