// One sequence of a batch: what a session shows, and a life of its own. It cannot be advanced by itself; who waits for
// its steps drives the whole batch.

import type { NativeSession } from "../../../native/addon.js";
import type { Breakpoint } from "../../debug/breakpoints.js";
import { native, OctavoError, received } from "../../errors.js";
import { checkOptions, instanceOf } from "../../options.js";
import type { SessionEvents } from "../run.js";
import { type SessionModel, SessionView } from "../session-view.js";
import type { Step } from "../step.js";
import type { RewindTo, Snapshot } from "../time-travel.js";
import type { BatchEngine } from "./engine.js";
import { checkSequenceFork, type SequenceForkOptions } from "./options.js";
import type { RecordedSequence, SequenceState } from "./record.js";

/** How a sequence ended. */
export interface SequenceResult {
	/** How it ended. */
	state: "finished" | "cancelled" | "failed";
	/** Tokens decoded. */
	tokens: Int32Array;
	/** Of a sequence that failed. */
	error?: Error;
}

/** Kinds of breakpoints of a sequence. */
export type SequenceEvents = Omit<SessionEvents, "token">;

/** Options of waiting for a sequence. */
export interface WaitOptions {
	/** Ends the waiting, with its reason; the batch can go on. */
	signal?: AbortSignal;
}

/**
 * A sequence of a batch, made by `batch.add` or `fork`. Everything that a session shows can be looked at, between two steps
 * of the batch or at a breakpoint.
 *
 * @example
 * ```ts
 * import { loadModel, policies, tasks } from "octavo";
 * const model = await loadModel();
 * using batch = model.batch({ blockSize: 8, numBlocks: 64 });
 * const sequence = batch.add(tasks.recall({ seed: 1 }).context, { maxTokens: 12, endTokens: [] });
 * await batch.run({ maxSteps: 4 });
 * const fork = sequence.fork({ policy: policies.keyDiff({ budget: 64 }) });
 * await batch.run();
 * const { state, tokens } = await fork.result();
 * console.log(state, tokens.length, fork.layer(0).numBlocks);   // finished 12 0
 * ```
 */
export class BatchSequence extends SessionView implements RecordedSequence {
	/** Its number in the batch, from 0. */
	readonly id: number;
	/** Tokens of its prompt. */
	readonly numPromptTokens: number;
	readonly #engine: BatchEngine;
	#ownError: Error | undefined;
	#numLoops = 0;
	// Steps that no loop has taken yet, of those that were asked for.
	#steps: Step[] = [];
	#lastTokens: Int32Array | undefined;

	/** Made by `batch.add`. */
	constructor(
		{ id, session }: { id: number; session: NativeSession },
		model: SessionModel,
		numPromptTokens: number,
		engine: BatchEngine,
		parent?: BatchSequence,
	) {
		super(session, model, parent?.driver);
		this.id = id;
		this.numPromptTokens = numPromptTokens;
		this.#engine = engine;
		this.driver.owner = {
			get busy() {
				return engine.busy;
			},
			takeSnapshot: () => engine.native.takeSnapshot(id),
			rewind: (target) => engine.native.rewind(id, target),
		};
		engine.sequences.push(this);
		engine.record.invalidate();
	}

	/** What it does; while a call of the batch is under way, as of before that. */
	get state(): SequenceState {
		return this.#ownError ? "failed" : this.#engine.stateOf(this.id);
	}

	/** What it failed with. */
	get error(): Error | undefined {
		return this.#ownError ?? this.#engine.failureOf(this.id);
	}

	/** Whether it finished, was cancelled or failed. */
	get ended(): boolean {
		return ["finished", "cancelled", "failed"].includes(this.state);
	}

	/** What it evicts, with its budget. */
	get policy() {
		return this.model.policy;
	}

	/** Its steps, from the first that no loop has taken; drives the batch where nobody else does. A loop left early goes on later. */
	async *steps(options: WaitOptions = {}): AsyncGenerator<Step, void, undefined> {
		const { signal } = checkOptions("steps()", options, { signal: instanceOf(AbortSignal) });
		this.#numLoops++;
		this.#engine.watch(this);
		try {
			for (;;) {
				for (let step = this.#steps.shift(); step; step = this.#steps.shift()) yield step;
				if (this.ended) return;
				await this.#engine.tick({ signal });
			}
		} finally {
			this.#numLoops--;
		}
	}

	/**
	 * Waits for its end; drives the batch where nobody else does. A failure is a result, not an exception.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_CLOSED where the batch is closed before
	 */
	async result(options: WaitOptions = {}): Promise<SequenceResult> {
		const { signal } = checkOptions("result()", options, { signal: instanceOf(AbortSignal) });
		this.#engine.watch(this);
		while (!this.#lastTokens) await this.#engine.tick({ signal });
		const { state, error } = this;
		const tokens = this.#lastTokens.slice(this.numPromptTokens);
		return { state: state as SequenceResult["state"], tokens, ...(error ? { error } : {}) };
	}

	/** Ends it, at once or after the step under way; its blocks go back to the pool. At any time; nothing where it has ended. */
	cancel(): void {
		this.#engine.cancel(this.id);
	}

	/**
	 * Keeps where its last completed step left it, to be gone back to, also after its end. The blocks stay, parked in the
	 * pools or outside where others need the room, until `release` or the batch's close.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_PREFILL where its prompt is not computed yet; ERR_OCTAVO_BATCH where it has ended;
	 * ERR_OCTAVO_BUSY, ERR_OCTAVO_CLOSED
	 */
	snapshot(): Snapshot {
		return this.driver.snapshot();
	}

	/**
	 * Goes back to a completed step: a snapshot, also once it has ended, or as far as the option `history` reaches, a number of
	 * tokens seen or before the step of an event. It goes on with the next step of the batch; the others stay where they are.
	 * The trace forgets the rows after; what comes then is bit-equal to the first time. `{ tokens: 0 }` is before its prompt,
	 * from any state and without a history: it waits to be let in again.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_HISTORY where the history does not reach; ERR_OCTAVO_SNAPSHOT for one that was released
	 * or is another's; ERR_OCTAVO_BATCH where it has ended, for all but snapshots and its beginning; ERR_OCTAVO_PREFILL, ERR_OCTAVO_OPTION,
	 * ERR_OCTAVO_BUSY, ERR_OCTAVO_CLOSED
	 */
	rewind(to: RewindTo): void {
		const nextStep = this.driver.rewind(to);
		this.#steps = this.#steps.filter(({ index }) => index < nextStep);
		this.#lastTokens = undefined;
		this.#ownError = undefined;
		this.#engine.record.invalidate();
	}

	/**
	 * One more sequence of the batch, which goes on from the last completed step of this one with another policy, seed or
	 * sampling. Both share blocks copy on write. It is let in at once; where `maxSequences` run, it waits swapped out.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_PREFILL where the prompt is not computed yet; ERR_OCTAVO_BATCH where it has ended;
	 * ERR_OCTAVO_OPTION, ERR_OCTAVO_BUDGET, ERR_OCTAVO_TOKEN, ERR_OCTAVO_POSITION, ERR_OCTAVO_BUSY, ERR_OCTAVO_CLOSED
	 */
	fork(options: SequenceForkOptions = {}): BatchSequence {
		const changes = checkSequenceFork(options, this.model.metadata);
		this.driver.drain();
		const engine = this.#engine;
		const fork = native(() => engine.native.fork(this.id, changes));
		return new BatchSequence(fork, this.forkedModel(changes), this.numPromptTokens, engine, this);
	}

	/**
	 * Stops `batch.run` at a happening in this sequence: `evict`, `block-full`, `layer` or `nan`, as `session.breakOn` does.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_BREAKPOINT for another kind
	 */
	breakOn<K extends keyof SequenceEvents>(kind: K, condition?: (event: SequenceEvents[K]) => boolean): Breakpoint {
		if ((kind as string) === "token") {
			const expected = "one of evict, block-full, layer, nan for breakOn of a batch's sequence";
			throw new OctavoError("ERR_OCTAVO_BREAKPOINT", `Expected ${expected} but received ${received(kind)}`);
		}
		return this.driver.breakpoints.add(kind, condition);
	}

	/** Takes what loops and waiters need while the engine is idle, for the batch; whether there may be more to come. */
	collect(): boolean {
		if (this.#numLoops > 0) this.#steps.push(...this.driver.takeSteps());
		if (this.ended) this.#lastTokens ??= this.tokens;
		return !this.ended;
	}

	/** The engine's side of it, for the batch. */
	get core() {
		return this.driver;
	}

	/** Fails it with an error of a function of its own, for the batch. */
	fail(error: Error): void {
		this.#ownError = error;
		this.cancel();
	}

	/** Shows where it stands. */
	[Symbol.for("Jupyter.display")](): Record<string, string> {
		const { policy, blockSize } = this.model.metadata;
		const error = this.error ? `: ${this.error.message}` : "";
		const text = `Sequence ${this.id}, ${this.state}${error}; policy ${policy}, blocks of ${blockSize}`;
		return { "text/plain": text };
	}
}
