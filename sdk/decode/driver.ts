// The engine's side of a session: takes work to it, one piece at a time, and moves what it records into the trace.

import type { DecisionSpec, NativeSession } from "../../native/addon.js";
import { Breakpoints } from "../debug/breakpoints.js";
import { native, OctavoError } from "../errors.js";
import type { TraceMetadata } from "../trace/arrow-schema.js";
import { TraceRecorder } from "../trace/recorder.js";
import { Trace } from "../trace/trace.js";
import { withInterrupt } from "./interrupt.js";
import { type RunContext, runAsync, runSync, type SessionEvents, type StopEvent, type Work } from "./run.js";
import { type Scorer, withScores } from "./scoring.js";
import { readSteps, type Step } from "./step.js";
import { type RewindTo, rewindTarget, Snapshot } from "./time-travel.js";

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
	readonly #scorer: Scorer | undefined;
	readonly #textOf: (token: number, stepIndex: number) => string;
	#busy = false;
	#closed = false;

	/**
	 * @param textOf text that a token adds in a step, for the record of the step
	 * @param scorer of a policy that is a function
	 * @param parent whose trace this one goes on from
	 */
	constructor(
		session: NativeSession,
		metadata: TraceMetadata,
		textOf: (token: number, stepIndex: number) => string,
		scorer?: Scorer,
		parent?: Driver,
	) {
		this.#scorer = scorer;
		this.native = session;
		this.#metadata = metadata;
		this.#textOf = textOf;
		const beforeRead = () => {
			if (!this.#busy && !this.#closed) this.drain();
		};
		this.#recorder = parent ? parent.#recorder.fork(metadata, beforeRead) : new TraceRecorder(metadata, beforeRead);
		this.trace = new Trace(this.#recorder);
	}

	get closed(): boolean {
		return this.#closed;
	}

	/** Does work on the calling thread. */
	sync<T>(work: Work<T>): T {
		this.#requireIdle();
		try {
			return runSync(this.native, this.#scored(work));
		} catch (error) {
			this.#forgetStop(error);
			throw error;
		}
	}

	/** Does work off the main thread; a notebook's interrupt stops it as `signal` does. */
	async async<T>(work: Work<T>, signal: AbortSignal | undefined): Promise<T> {
		this.#requireIdle();
		this.#busy = true;
		try {
			return await runAsync(this.native, this.#scored(work), withInterrupt(signal));
		} catch (error) {
			this.#forgetStop(error);
			throw error;
		} finally {
			this.#busy = false;
		}
	}

	drain(): Step[] {
		const rows = native(() => this.native.takeTrace());
		this.#recorder.append(rows);
		return readSteps(rows, this.#textOf);
	}

	takeDecision(): DecisionSpec | undefined {
		const { decision } = this;
		this.decision = undefined;
		return decision;
	}

	snapshot(): Snapshot {
		this.#requireIdle();
		this.drain();
		const recorder = this.#recorder.fork(this.#metadata, () => {});
		return new Snapshot(this.native, this.native.numTokens, recorder);
	}

	/** Takes session and trace to another completed step. */
	rewind(to: RewindTo): void {
		this.#requireIdle();
		const target = rewindTarget(to, this.native);
		this.drain();
		const nextStep = native(() => this.native.rewind(target));
		this.stoppedAt = undefined;
		this.decision = undefined;
		if (to instanceof Snapshot) this.#recorder.restore(to.recorder);
		else this.#recorder.cutAt(nextStep);
	}

	close(): void {
		if (this.#closed) return;
		this.#requireIdle();
		this.drain();
		native(() => this.native.dispose());
		this.#closed = true;
	}

	#scored<T>(work: Work<T>): Work<T> {
		return this.#scorer ? withScores(work, this.native, this.#scorer) : work;
	}

	#requireIdle(): void {
		if (!this.#busy) return;
		const expected = "an idle session but an asynchronous call is under way: await it first";
		throw new OctavoError("ERR_OCTAVO_BUSY", `Expected ${expected}`);
	}

	// The engine undoes a step that fails; one that was only aborted still stands where it was.
	#forgetStop(error: unknown): void {
		if (error instanceof OctavoError) this.stoppedAt = undefined;
	}
}
