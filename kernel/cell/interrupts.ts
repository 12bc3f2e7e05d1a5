// Interrupts of a cell, on the main thread. A cell that awaits is rejected here; one that never returns is terminated
// by interrupt-thread.ts. After an interrupt every await of cell code fails until the next cell starts, so that a loop
// which catches errors comes to an end too: it then spins without yielding, and the thread terminates it.
// A busy machine makes the thread terminate a callback of ours instead: each therefore takes its work only behind `enter`.
// Cells of several shells may run at once; an interrupt stops them all.

import type { MessagePort } from "node:worker_threads";
import { skipAsyncHookChecks } from "./async-hook-checks.js";
import { endedBySignal } from "./evaluation-guard.js";
import { activity, codeState, type InterruptMessage, isSettled, slot } from "./interrupt-state.js";
import { Interrupted, interruptSignal } from "./interrupted.js";
import { type Turn, Turns } from "./turns.js";

const { then } = Promise.prototype;

function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
	return typeof (value as PromiseLike<T> | null | undefined)?.then === "function";
}

interface Run {
	/** What it does, as {@link activity} numbers it. */
	doing: number;
	reject(error: Interrupted): void;
}

/** What the worker does for its interrupts. */
export interface InterruptHooks {
	/** Takes the requests that have come, if there are any. */
	takeRequests(): void;
	/** An interrupt has been handled; promises of user code may never settle. */
	interrupted(): void;
}

/** What a cell says of itself; both throw {@link Interrupted} when it is to stop. */
export interface CellPhases {
	/** Packages are loaded from now on, whose code may be terminated. */
	loads(): void;
	/** Its own code runs from now on: comm messages come while it awaits. */
	begins(): void;
}

/** Runs cells so that they can be interrupted. */
export class Interrupts {
	readonly #shared: Int32Array;
	readonly #hooks: InterruptHooks;
	readonly #waiting = new Set<(error: Interrupted) => void>();
	#failing = false;
	#abort = new AbortController();
	readonly #turns = new Turns(() => this.enter());
	readonly #runs = new Set<Run>();
	/** Ids of the requests that run, the oldest first; those whose cell has not begun; and what waits until all have. */
	readonly #requests = new Set<number>();
	readonly #unbegun = new Set<number>();
	readonly #beforeCell: Turn[] = [];

	constructor(shared: Int32Array, port: MessagePort, hooks: InterruptHooks) {
		this.#shared = shared;
		this.#hooks = hooks;
		port.on("message", (message: InterruptMessage) => {
			// First: what a terminated callback has left undone. The last message of an interrupt is never terminated.
			this.#turns.wake();
			// A request that is taken makes interrupts of earlier ones void: they come first.
			if (isSettled(shared)) hooks.takeRequests();
			else if (message !== "request") this.#interrupt(message);
		});
		Object.defineProperty(globalThis, interruptSignal, { configurable: true, get: () => this.#abort.signal });
	}

	/** Says that a request runs from now on: interrupts that were meant for requests that are over are void. */
	startRequest(id: number): void {
		this.#requests.add(id);
		this.#unbegun.add(id);
		const [oldest] = this.#requests;
		Atomics.store(this.#shared, slot.request, oldest!);
	}

	/** Says that it is over. */
	endRequest(id: number): void {
		this.#requests.delete(id);
		this.#sayBegun(id);
		const [oldest = id] = this.#requests;
		Atomics.store(this.#shared, slot.request, oldest);
	}

	/**
	 * Calls a function of the kernel's own, in order with others, once all started cells have come to their first await, or
	 * to their end. Without a promise, since a termination drops the continuations that are due.
	 */
	whenYielded(call: () => void): void {
		const turn: Turn = (wasUser) => {
			call();
			if (wasUser) this.leave();
		};
		if (this.#unbegun.size > 0) this.#beforeCell.push(turn);
		else this.#turns.next(turn);
	}

	/** Calls user code that is no cell, such as a handler; rejects with {@link Interrupted} at an interrupt. */
	user<T>(call: () => T | PromiseLike<T>): Promise<T> {
		if (this.#runs.size === 0) this.#forget();
		const result = new Promise<T>((resolve, reject) => {
			this.#waiting.add(reject);
			const done = () => this.#waiting.delete(reject);
			this.#turns.next((wasUser) => {
				this.leave();
				try {
					const given = call();
					// Not resolved with a promise: it could not be rejected any more.
					if (isThenable(given)) given.then(resolve, reject);
					else resolve(given);
				} catch (error) {
					reject(error);
				}
				this.enter();
				if (wasUser) this.leave();
				result.then(done, done);
			});
		});
		return result;
	}

	/** Calls what a debugger evaluates, also while a cell is stopped; throws {@link Interrupted} at an interrupt. */
	evaluate<T>(call: () => T): T {
		return endedBySignal(this.#shared, call);
	}

	/** Awaits for cell code: rejects at an interrupt, whatever `value` does. */
	wait<T>(value: T | PromiseLike<T>): T | PromiseLike<T> {
		skipAsyncHookChecks();
		if (this.#failing) throw new Interrupted();
		if (!isThenable(value)) return value;
		let done!: () => void;
		let settled: unknown;
		const waited = new Promise<T>((resolve, reject) => {
			this.#waiting.add(reject);
			done = () => this.#waiting.delete(reject);
			// V8 finds who awaits behind its own `resolve` alone: so a library's error names the line of the cell.
			settled = value.then(resolve, reject);
		});
		// Not of `waited`, where V8 would lose the track again.
		then.call(settled instanceof Promise ? settled : waited, done, done);
		return waited;
	}

	/** Iterates for a `for await` of cell code: each step can be interrupted. */
	iterate<T>(source: AsyncIterable<T> | Iterable<T>): AsyncIterable<T> {
		const asynchronous = (source as AsyncIterable<T> | null | undefined)?.[Symbol.asyncIterator];
		// Left to JavaScript: synchronous iterables, and the error for what is no iterable.
		if (typeof asynchronous !== "function") return source as AsyncIterable<T>;
		const inner = asynchronous.call(source);
		const step = (result: Promise<IteratorResult<T>>) => this.wait(result) as Promise<IteratorResult<T>>;
		const guarded: AsyncIterator<T> = { next: () => step(inner.next()) };
		if (inner.return) guarded.return = (value) => inner.return!(value);
		return { [Symbol.asyncIterator]: () => guarded };
	}

	/**
	 * Runs a cell, or a part of one; rejects with {@link Interrupted} when it is interrupted, even if `cell` never settles.
	 *
	 * @param request the id that {@link startRequest} was given
	 * @param cell says when user code starts; what it does before that is never terminated
	 */
	async run<T>(request: number, cell: (phases: CellPhases) => Promise<T>): Promise<T> {
		if (this.#runs.size === 0) this.#forget();
		const run: Run = { doing: activity.cell, reject: () => {} };
		this.#runs.add(run);
		this.#sayActive();
		try {
			return await new Promise<T>((resolve, reject) => {
				run.reject = reject;
				const start = (doing: number) => {
					if (!isSettled(this.#shared) || !this.#runs.has(run)) throw new Interrupted();
					run.doing = doing;
					this.#sayActive();
					this.leave();
				};
				const loads = () => start(activity.loading);
				const begins = () => {
					this.enter();
					this.#sayBegun(request);
					start(activity.cell);
				};
				this.#turns.next(() => cell({ loads, begins }).then(resolve, reject));
				// Until that turn comes other cells may go on.
				if (this.#runs.size > 1) this.leave();
			});
		} finally {
			this.#runs.delete(run);
			this.enter();
			this.#sayActive();
			this.#sayBegun(request);
		}
	}

	/** Says that the kernel's own code runs; waits for a termination that is on its way. Gives whether user code ran. */
	enter(): boolean {
		for (;;) {
			// Either the termination ends this very loop, and the thread's next message does what is left to do, or it has
			// ended something else and the thread gives the state back.
			const before = Atomics.compareExchange(this.#shared, slot.state, codeState.user, codeState.own);
			if (before !== codeState.terminating) return before === codeState.user;
		}
	}

	/** Says that only user code, such as a timer's callback, runs from now on. */
	leave(): void {
		skipAsyncHookChecks();
		Atomics.store(this.#shared, slot.state, codeState.user);
	}

	#sayActive(): void {
		Atomics.store(this.#shared, slot.active, Math.max(activity.none, ...[...this.#runs].map(({ doing }) => doing)));
	}

	#sayBegun(request: number): void {
		if (!this.#unbegun.delete(request) || this.#unbegun.size > 0) return;
		for (const turn of this.#beforeCell.splice(0)) this.#turns.next(turn);
	}

	/** Lets what starts now await again after an interrupt. */
	#forget(): void {
		this.#failing = false;
		if (this.#abort.signal.aborted) this.#abort = new AbortController();
	}

	#interrupt(message: InterruptMessage): void {
		if (message === "ask" && Atomics.load(this.#shared, slot.state) === codeState.terminating) return;
		const requested = Atomics.load(this.#shared, slot.requested);
		const wasUser = this.enter();
		const runs = [...this.#runs];
		if (runs.length > 0 && !this.#failing) {
			this.#failing = true;
			this.#abort.abort(new Interrupted());
		}
		for (const reject of [...this.#waiting]) reject(new Interrupted());
		this.#waiting.clear();
		// Rejected code runs first; if it never yields, the thread finds no answer and terminates it.
		this.#turns.next(() => {
			Atomics.store(this.#shared, slot.handled, requested);
			this.#hooks.interrupted();
			this.leave();
			for (const run of runs) {
				run.reject(new Interrupted());
				this.#runs.delete(run);
			}
			this.#hooks.takeRequests();
		});
		if (wasUser) this.leave();
	}
}
