// The engine's side of a session: takes work to it, one piece at a time, and moves what it records into the trace.

import type { AdvanceRequest, AdvanceResult, DecisionSpec, NativeSession } from "../../native/addon.js";
import { Breakpoints } from "../debug/breakpoints.js";
import { LiveViews } from "../debug/live-view.js";
import { native, OctavoError } from "../errors.js";
import type { StepText } from "../model/step-text.js";
import type { TraceMetadata } from "../trace/arrow-schema.js";
import { TraceRecorder } from "../trace/recorder.js";
import { Trace } from "../trace/trace.js";
import { PendingCall, withInterrupt } from "./interrupt.js";
import { type RunContext, runAsync, runSync, type SessionEvents, type StopEvent, type Work } from "./run.js";
import { type Scorer, withScores } from "./scoring.js";
import { readSteps, type Step } from "./step.js";
import { type RewindTo, rewindTarget, Snapshot } from "./time-travel.js";

// Rows stay with the engine, whose columns grow at little cost, until a table is asked for or they are so many.
const maxWaitingSteps = 1024;

/** Drives one native session. */
export class Driver implements RunContext {
	readonly native: NativeSession;
	readonly trace: Trace;
	readonly breakpoints = new Breakpoints<SessionEvents>(["evict", "block-full", "layer", "nan", "token"]);
	/** Where the session stands inside a step; undefined between steps. */
	stoppedAt: StopEvent | undefined;
	decision: DecisionSpec | undefined;
	readonly #metadata: TraceMetadata;
	readonly #recorder: TraceRecorder;
	#text: StepText;
	// Of the first step that `takeSteps` has not read.
	#nextStep = 0;
	// Steps read since the last drain.
	#numWaiting = 0;
	#call: PendingCall | undefined;
	#closed = false;
	// What the engine was last asked off the main thread. A loop asks the same each time, which it need not read again.
	#asked: AdvanceRequest | undefined;
	readonly #advance = (request: AdvanceRequest): Promise<AdvanceResult> => {
		const isRepeated = request === this.#asked;
		this.#asked = undefined;
		const result = this.native.advanceAsync(isRepeated ? undefined : request);
		if (!request.forcedTokens && !request.decision) this.#asked = request;
		return result;
	};
	/** Views that are drawn again after each call. */
	readonly views = new LiveViews();
	/** Of a batch's sequence: what advances it, and takes it through time, in place of this driver. */
	owner: (Pick<NativeSession, "takeSnapshot" | "rewind"> & { readonly busy: boolean }) | undefined;
	/** Gives the scores of a policy that is a function. */
	readonly scorer: Scorer | undefined;

	/**
	 * @param text text that a token adds in a step, for the record of the step; of a fork: its parent's goes on
	 * @param scorer of a policy that is a function
	 * @param parent whose trace this one goes on from
	 */
	constructor(session: NativeSession, metadata: TraceMetadata, text: StepText, scorer?: Scorer, parent?: Driver) {
		this.scorer = scorer;
		this.native = session;
		this.#metadata = metadata;
		this.#text = parent ? parent.#text.fork() : text;
		const beforeRead = () => {
			if (!this.busy && !this.#closed && !this.owner?.busy) this.drain();
		};
		this.#recorder = parent ? parent.#recorder.fork(metadata, beforeRead) : new TraceRecorder(metadata, beforeRead);
		this.trace = new Trace(this.#recorder);
	}

	get closed(): boolean {
		return this.#closed;
	}

	get busy(): boolean {
		if (this.#call?.isOver) this.#call = undefined;
		return this.#call !== undefined;
	}

	/** Does work on the calling thread. */
	sync<T>(work: Work<T>): T {
		this.#requireIdle();
		try {
			return runSync(this.native, this.#scored(work));
		} catch (error) {
			this.#forgetStop(error);
			throw error;
		} finally {
			this.views.changed();
		}
	}

	/** Does work off the main thread; a notebook's interrupt stops it as `signal` does. */
	async async<T>(work: Work<T>, signal: AbortSignal | undefined): Promise<T> {
		this.#requireIdle();
		const call = new PendingCall(this.native);
		this.#call = call;
		try {
			return await runAsync(this.native, this.#advance, this.#scored(work), withInterrupt(signal));
		} catch (error) {
			if (this.#call === call) this.#forgetStop(error);
			throw error;
		} finally {
			if (this.#call === call) this.#call = undefined;
			this.views.changed();
		}
	}

	takeSteps(): Step[] {
		const steps = readSteps(
			native(() => this.native.stepRows(this.#nextStep)),
			this.#text,
		);
		this.#nextStep = (steps.at(-1)?.index ?? this.#nextStep - 1) + 1;
		this.#numWaiting += steps.length;
		if (this.#numWaiting >= maxWaitingSteps) this.drain();
		return steps;
	}

	/** Moves recorded rows into the trace. */
	drain(): void {
		const rows = native(() => this.native.takeTrace());
		const { step_index: indices, token_id: tokens } = rows.steps as Record<string, Int32Array>;
		indices!.forEach((index, row) => {
			// Text of a step may depend on the one before, so none is passed over.
			if (index >= this.#nextStep) this.#text.add(tokens![row]!, index);
		});
		this.#nextStep = Math.max(this.#nextStep, (indices!.at(-1) ?? -1) + 1);
		this.#numWaiting = 0;
		this.#recorder.append(rows);
	}

	takeDecision(): DecisionSpec | undefined {
		const { decision } = this;
		this.decision = undefined;
		return decision;
	}

	snapshot(): Snapshot {
		this.#requireIdle();
		this.drain();
		const id = native(() => (this.owner ?? this.native).takeSnapshot());
		return new Snapshot(
			this.native,
			id,
			this.#recorder.fork(this.#metadata, () => {}),
			this.#text.fork(),
		);
	}

	/** Takes session and trace to another completed step; gives the index of the step that comes next. */
	rewind(to: RewindTo): number {
		this.#requireIdle();
		const target = rewindTarget(to, this.native);
		this.drain();
		const nextStep = native(() => (this.owner ?? this.native).rewind(target));
		this.stoppedAt = undefined;
		this.decision = undefined;
		this.#nextStep = nextStep;
		if (to instanceof Snapshot) {
			this.#recorder.restore(to.recorder);
			this.#text = to.text.fork();
		} else this.#recorder.cutAt(nextStep);
		this.views.changed();
		return nextStep;
	}

	close(): void {
		if (this.#closed) return;
		this.#requireIdle();
		this.drain();
		this.views.close();
		native(() => this.native.dispose());
		this.#closed = true;
	}

	#scored<T>(work: Work<T>): Work<T> {
		return this.scorer ? withScores(work, this.native, this.scorer) : work;
	}

	#requireIdle(): void {
		if (!this.busy) return;
		const expected = "an idle session but an asynchronous call is under way: await it first";
		throw new OctavoError("ERR_OCTAVO_BUSY", `Expected ${expected}`);
	}

	// The engine undoes a step that fails; one that was only aborted still stands where it was.
	#forgetStop(error: unknown): void {
		if (error instanceof OctavoError) this.stoppedAt = undefined;
	}
}
