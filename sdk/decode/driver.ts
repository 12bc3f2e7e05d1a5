// The engine's side of a session: takes work to it, one piece at a time, and moves what it records into the trace.

import type { BlockFullEvent, EvictEvent, NativeSession } from "../../native/addon.js";
import { Breakpoints } from "../debug/breakpoints.js";
import { native, OctavoError } from "../errors.js";
import type { TraceMetadata } from "../trace/arrow-schema.js";
import { TraceRecorder } from "../trace/recorder.js";
import { Trace } from "../trace/trace.js";
import { type RunContext, runAsync, runSync, type SessionEvents, type Work } from "./run.js";
import { readSteps, type Step } from "./step.js";

/** Drives one native session. */
export class Driver implements RunContext {
	readonly native: NativeSession;
	readonly trace: Trace;
	readonly breakpoints = new Breakpoints<SessionEvents>(["evict", "block-full", "token"]);
	/** Where the session stands inside a step; undefined between steps. */
	stoppedAt: EvictEvent | BlockFullEvent | undefined;
	readonly #recorder: TraceRecorder;
	readonly #textOf: (token: number, stepIndex: number) => string;
	#busy = false;
	#closed = false;

	/** @param textOf text that a token adds in a step, for the record of the step */
	constructor(session: NativeSession, metadata: TraceMetadata, textOf: (token: number, stepIndex: number) => string) {
		this.native = session;
		this.#textOf = textOf;
		this.#recorder = new TraceRecorder(metadata, () => {
			if (!this.#busy && !this.#closed) this.drain();
		});
		this.trace = new Trace(this.#recorder);
	}

	get closed(): boolean {
		return this.#closed;
	}

	/** Does work on the calling thread. */
	sync<T>(work: Work<T>): T {
		this.#requireIdle();
		try {
			return runSync(this.native, work);
		} catch (error) {
			this.#forgetStop(error);
			throw error;
		}
	}

	/** Does work off the main thread. */
	async async<T>(work: Work<T>, signal: AbortSignal | undefined): Promise<T> {
		this.#requireIdle();
		this.#busy = true;
		try {
			return await runAsync(this.native, work, signal);
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

	close(): void {
		if (this.#closed) return;
		this.#requireIdle();
		this.drain();
		native(() => this.native.dispose());
		this.#closed = true;
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
