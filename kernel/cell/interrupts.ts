// Interrupts of a cell, on the main thread. A cell that awaits is rejected here; one that never returns is terminated
// by interrupt-thread.ts. After an interrupt every await of cell code fails until the next cell starts, so that a loop
// which catches errors comes to an end too: it then spins without yielding, and the thread terminates it.
// A busy machine makes the thread terminate a callback of ours instead: each therefore takes its work only behind `enter`.

import type { MessagePort } from "node:worker_threads";
import { activity, codeState, type InterruptMessage, isSettled, slot } from "./interrupt-state.js";
import { type Turn, Turns } from "./turns.js";

/** Key of the global AbortSignal that is aborted when the running cell is interrupted; long native calls listen to it. */
export const interruptSignal = Symbol.for("octavo.interrupt");

function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
	return typeof (value as PromiseLike<T> | null | undefined)?.then === "function";
}

/** What awaiting cell code is rejected with. */
export class Interrupted extends Error {
	override readonly name = "Interrupted";

	constructor() {
		super("The cell was interrupted.");
	}
}

interface Run {
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
	#run: Run | undefined;
	/** Turns that wait for the cell to begin; undefined once it has. */
	#beforeCell: Turn[] | undefined;

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

	/** Says which request runs now: interrupts that were meant for earlier ones are over. */
	startRequest(id: number): void {
		Atomics.store(this.#shared, slot.request, id);
		this.#beforeCell ??= [];
	}

	/**
	 * Calls a function of the kernel's own, in order with others, once the cell that was started last has come to its first
	 * await, or to its end. Without a promise, since a termination drops the continuations that are due.
	 */
	whenYielded(call: () => void): void {
		const turn: Turn = (wasUser) => {
			call();
			if (wasUser) this.leave();
		};
		if (this.#beforeCell) this.#beforeCell.push(turn);
		else this.#turns.next(turn);
	}

	/** Calls user code that is no cell, such as a handler; rejects with {@link Interrupted} at an interrupt. */
	user<T>(call: () => T | PromiseLike<T>): Promise<T> {
		if (!this.#run) this.#forget();
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

	/** Awaits for cell code: rejects at an interrupt, whatever `value` does. */
	wait<T>(value: T | PromiseLike<T>): T | PromiseLike<T> {
		if (this.#failing) throw new Interrupted();
		if (!isThenable(value)) return value;
		return new Promise<T>((resolve, reject) => {
			this.#waiting.add(reject);
			value.then(
				(result) => {
					this.#waiting.delete(reject);
					resolve(result);
				},
				(error) => {
					this.#waiting.delete(reject);
					reject(error);
				},
			);
		});
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
	 * Runs a cell; rejects with {@link Interrupted} when it is interrupted, even if `cell` never settles.
	 *
	 * @param cell says when user code starts; what it does before that is never terminated
	 */
	async run<T>(cell: (phases: CellPhases) => Promise<T>): Promise<T> {
		this.#forget();
		this.#say(activity.cell);
		try {
			return await new Promise<T>((resolve, reject) => {
				const run: Run = { reject };
				this.#run = run;
				const start = (what: number) => {
					if (!isSettled(this.#shared) || this.#run !== run) throw new Interrupted();
					this.#say(what);
					this.leave();
				};
				const loads = () => start(activity.loading);
				const begins = () => {
					this.enter();
					this.#sayBegun();
					start(activity.cell);
				};
				this.#turns.next(() => cell({ loads, begins }).then(resolve, reject));
			});
		} finally {
			this.#run = undefined;
			this.enter();
			this.#say(activity.none);
			this.#sayBegun();
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
		Atomics.store(this.#shared, slot.state, codeState.user);
	}

	#say(what: number): void {
		Atomics.store(this.#shared, slot.active, what);
	}

	#sayBegun(): void {
		for (const turn of this.#beforeCell?.splice(0) ?? []) this.#turns.next(turn);
		this.#beforeCell = undefined;
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
		const run = this.#run;
		if (run && !this.#failing) {
			this.#failing = true;
			this.#abort.abort(new Interrupted());
		}
		const waiting = [...this.#waiting];
		this.#waiting.clear();
		for (const reject of waiting) reject(new Interrupted());
		// Rejected code runs first; if it never yields, the thread finds no answer and terminates it.
		this.#turns.next(() => {
			Atomics.store(this.#shared, slot.handled, requested);
			this.#hooks.interrupted();
			this.leave();
			run?.reject(new Interrupted());
			if (this.#run === run) this.#run = undefined;
			this.#hooks.takeRequests();
		});
		if (wasUser) this.leave();
	}
}
