// A batch's half of the contract in addon.ts: many sequences over one pool of blocks a layer, decoded together.

import type { DecisionSpec, EngineEvent, StopSpec } from "./addon-events.js";
import type { NativeColumns, NativeSession, PolicySpec, RewindTarget, SamplingSpec } from "./addon-session.js";

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
	/** Lower ones are let in and come back first, and give way last. Default 0. */
	priority?: number;
	/** Default false, as that of `recordLogits`. */
	recordBlocks?: boolean;
	recordLogits?: boolean;
	/** Completed steps that `rewind` can go back by; makes way when the pools run out. Default 0. */
	history?: number;
}

/** What a fork does differently from here on. */
export interface BatchForkSpec {
	policy?: PolicySpec;
	seed?: number;
	/** Decoded since the prompt, those before the fork among them. */
	maxTokens?: number;
	sampling?: SamplingSpec;
	endTokens?: Int32Array;
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
	/**
	 * Keeps the last completed step of a sequence, until its session's `dropSnapshot`; gives its id. ERR_OCTAVO_PREFILL where its
	 * prompt is not computed, ERR_OCTAVO_BATCH where it has ended.
	 */
	takeSnapshot(id: number): number;
	/** Takes a sequence to a completed step, also one that has ended to a snapshot; gives the index of the step that comes next. */
	rewind(id: number, target: RewindTarget): number;
	/** One more sequence that goes on from the last completed step of this one. Errors as of `takeSnapshot`. */
	fork(id: number, spec: BatchForkSpec): { id: number; session: NativeSession };
	/** Ends a sequence: before the next step, or as `requests` is next called. At any time. */
	cancel(id: number): void;
	advance(request: BatchAdvanceRequest): BatchAdvanceResult;
	/** The same off the main thread. */
	advanceAsync(request: BatchAdvanceRequest): Promise<BatchAdvanceResult>;
	/** Asks a running `advance` to return at the next layer boundary; the batch can go on. */
	stop(): void;
	/** Whether an `advanceAsync` is under way. Readable at any time, also after `dispose`. */
	readonly busy: boolean;
	/** One row a sequence, by the column names of sdk/trace/batch-schema.ts. */
	requests(): NativeColumns;
	/** One row a step since the last call, likewise. */
	takeSteps(): NativeColumns;
	/** Why a sequence failed. */
	failure(id: number): { code: string; message: string } | undefined;
	/** Gives up what has not ended. Later calls throw ERR_OCTAVO_CLOSED; views and sessions stay valid. */
	dispose(): void;
}
