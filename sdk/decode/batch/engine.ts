// Takes a batch from step to step. Several loops may wait at once (a run, the steps of two sequences): whoever finds
// nobody at work does the next piece, and the others wait for it.

import { setTimeout as sleep } from "node:timers/promises";
import type { BatchAdvanceResult, DecisionSpec, EngineEvent, NativeBatch, ScoreEvent } from "../../../native/addon.js";
import type { Breakpoint } from "../../debug/breakpoints.js";
import { fromNative, native, OctavoError } from "../../errors.js";
import { eviction } from "../eviction-stop.js";
import { PendingCall, withInterrupt } from "../interrupt.js";
import type { StopEvent } from "../run.js";
import { BatchRecord, type BatchStepRow, type SequenceState } from "./record.js";
import type { BatchSequence } from "./sequence.js";

// A batch that waits for an arrival looks up this often, as sequences may be added meanwhile.
const longestWaitMs = 20;

/** A breakpoint that held in a sequence. */
export interface BatchStop {
	/** Whose step stopped. */
	sequence: BatchSequence;
	/** What it stopped before. */
	event: StopEvent;
	/** The breakpoint that stopped it. */
	breakpoint: Breakpoint;
}

/** What a piece of work came to. */
export interface Tick {
	/** Steps completed. */
	rows: BatchStepRow[];
	/** No sequence is left to run. */
	done: boolean;
	/** Held; the batch stands inside a step. */
	stop: BatchStop | undefined;
}

/** How a piece of work is done. */
export interface TickOptions {
	signal?: AbortSignal | undefined;
	/** Steps to complete, at most. Default 1. */
	maxSteps?: number;
	/** Stops at breakpoints in place of passing over them. */
	stops?: boolean;
}

/** Drives one native batch. */
export class BatchEngine {
	readonly record: BatchRecord;
	readonly sequences: BatchSequence[] = [];
	readonly native: NativeBatch;
	readonly #watched = new Set<BatchSequence>();
	#underWay: { call: PendingCall; tick: Promise<Tick> } | undefined;
	#stopped: BatchSequence | undefined;
	#closed = false;

	constructor(batch: NativeBatch) {
		this.native = batch;
		this.record = new BatchRecord(batch);
	}

	/** Whether the engine is at work, and its sequences cannot be looked at. */
	get busy(): boolean {
		if (this.#underWay?.call.isOver) this.#underWay = undefined;
		return this.#underWay !== undefined;
	}

	get closed(): boolean {
		return this.#closed;
	}

	stateOf(id: number): SequenceState {
		this.refresh();
		return this.record.stateOf(id);
	}

	failureOf(id: number): OctavoError | undefined {
		this.refresh();
		return this.record.failureOf(id);
	}

	/** Looks at the sequences anew, unless the engine is at work or gone. */
	refresh(): void {
		if (!this.busy && !this.#closed) this.record.refresh();
	}

	cancel(id: number): void {
		if (this.#closed) return;
		native(() => this.native.cancel(id));
		this.record.invalidate();
	}

	/** From now on a sequence is told whenever the engine has come to rest: by the time that those who wait go on it may be at work again. */
	watch(sequence: BatchSequence): void {
		this.#watched.add(sequence);
		if (!this.busy && !this.#closed) this.#tellWatched();
	}

	/** Does a piece of work, or waits for the one under way. A notebook's interrupt stops it as `signal` does. */
	async tick({ signal, maxSteps = 1, stops = false }: TickOptions): Promise<Tick> {
		if (this.#closed) throw new OctavoError("ERR_OCTAVO_CLOSED", "Expected an open batch but it was closed");
		const interrupt = withInterrupt(signal);
		interrupt?.throwIfAborted();
		const stop = () => this.native.stop();
		interrupt?.addEventListener("abort", stop);
		try {
			if (!this.busy) this.#begin(maxSteps, stops);
			const tick = await this.#underWay!.tick;
			if (tick.rows.length === 0 && !tick.done && !tick.stop) interrupt?.throwIfAborted();
			return tick;
		} finally {
			interrupt?.removeEventListener("abort", stop);
		}
	}

	/** @throws {OctavoError} ERR_OCTAVO_BUSY while a call is under way */
	close(): void {
		if (this.#closed) return;
		if (this.busy) {
			const expected = "an idle batch but a call is under way: await it first";
			throw new OctavoError("ERR_OCTAVO_BUSY", `Expected ${expected}`);
		}
		for (const { core } of this.sequences) core.drain();
		this.record.refresh();
		native(() => this.native.dispose());
		this.#closed = true;
	}

	#begin(maxSteps: number, stops: boolean): void {
		const call = new PendingCall(this.native);
		const tick = this.#work(maxSteps, stops).finally(() => {
			if (this.#underWay?.call === call) this.#underWay = undefined;
		});
		this.#underWay = { call, tick };
	}

	// Answers questions for scores on the way, passes over what no breakpoint holds for, and returns early where it waits.
	async #work(maxSteps: number, stopping: boolean): Promise<Tick> {
		let left = maxSteps;
		let scores: DecisionSpec | undefined;
		const tick: Tick = { rows: [], done: false, stop: undefined };
		while (left > 0 && !tick.stop) {
			const decision = scores ?? this.#stopped?.core.takeDecision();
			scores = undefined;
			const result = await this.#advance(left, stopping, decision);
			left -= result.numSteps;
			if (this.#stopped) this.#stopped.core.stoppedAt = undefined;
			this.#stopped = undefined;
			if (result.reason === "event") {
				const sequence = this.sequences[result.sequence]!;
				if (result.event.kind === "score") scores = this.#scores(sequence, result.event);
				else tick.stop = this.#stopAt(sequence, result.event);
				continue;
			}
			if (result.reason === "idle") await sleep(Math.min(result.waitUs / 1e3, longestWaitMs));
			tick.done = result.reason === "done";
			break;
		}
		tick.rows = this.record.drain();
		this.record.refresh();
		this.#tellWatched();
		return tick;
	}

	#tellWatched(): void {
		for (const sequence of this.#watched) if (!sequence.collect()) this.#watched.delete(sequence);
	}

	async #advance(maxSteps: number, stopping: boolean, decision: DecisionSpec | undefined): Promise<BatchAdvanceResult> {
		const stops = this.sequences.flatMap(({ id, core: { breakpoints } }) => {
			const stop = {
				evict: breakpoints.has("evict"),
				blockFull: breakpoints.has("block-full"),
				layerEnd: breakpoints.has("layer"),
				nan: breakpoints.has("nan"),
			};
			return stopping && Object.values(stop).some(Boolean) ? [{ sequence: id, stop }] : [];
		});
		try {
			return await this.native.advanceAsync({ maxSteps, stops, ...(decision ? { decision } : {}) });
		} catch (error) {
			throw fromNative(error);
		}
	}

	// A policy's function that throws fails its sequence alone.
	#scores(sequence: BatchSequence, event: ScoreEvent): DecisionSpec | undefined {
		try {
			return { scores: sequence.core.scorer!(event) };
		} catch (error) {
			sequence.fail(error instanceof Error ? error : new Error(String(error), { cause: error }));
			return undefined;
		}
	}

	#stopAt(sequence: BatchSequence, happened: Exclude<EngineEvent, ScoreEvent>): BatchStop | undefined {
		const { core } = sequence;
		const event: StopEvent = happened.kind === "evict" ? eviction(happened, core.native, core) : happened;
		core.stoppedAt = event;
		this.#stopped = sequence;
		const breakpoint = core.breakpoints.match(event.kind, event as never);
		return breakpoint && { sequence, event, breakpoint };
	}
}
