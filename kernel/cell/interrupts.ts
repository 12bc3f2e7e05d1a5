// Interrupts of a cell, on the main thread. A cell that awaits is rejected here; one that never returns is terminated
// by interrupt-thread.ts. After an interrupt every await of cell code fails until the next cell starts, so that a loop
// which catches errors comes to an end too: it then spins without yielding, and the thread terminates it.
// A busy machine makes the thread terminate a callback of ours instead: each therefore takes its work only behind `enter`.

import { MessageChannel, type MessagePort } from "node:worker_threads";

/** Slots of the memory shared with the interrupt thread; `request` and `target`: ids of the running and the meant one. */
export const slot = { state: 0, requested: 1, handled: 2, active: 3, request: 4, target: 5 } as const;
/** States: the kernel's own code, never terminated; user code; user code that is being terminated. */
export const codeState = { own: 0, user: 1, terminating: 2 } as const;
/** What the interrupt thread says: please interrupt what awaits; what ran has been terminated; a request has come. */
export type InterruptMessage = "ask" | "terminated" | "request";

/** Key of the global AbortSignal that is aborted when the running cell is interrupted; long native calls listen to it. */
export const interruptSignal = Symbol.for("octavo.interrupt");

/** Whether no interrupt waits: all have been handled, or the newest was meant for a request that is over. */
export function isSettled(shared: Int32Array): boolean {
	return (
		Atomics.load(shared, slot.handled) === Atomics.load(shared, slot.requested) ||
		Atomics.load(shared, slot.target) < Atomics.load(shared, slot.request)
	);
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

/** Called in the kernel's own state, which it gives up when it calls user code. @param wasUser what the state was before */
type Turn = (wasUser: boolean) => void;

/**
 * Calls functions from the event loop, each in a callback of its own: a termination unwinds to the event loop. Not
 * setImmediate, whose count a terminated callback leaves wrong, and the process would spin from then on.
 */
class Turns {
	readonly #waiting: Turn[] = [];
	readonly #port: MessagePort;

	/** @param enter says that the kernel's own code runs; gives whether user code did */
	constructor(enter: () => boolean) {
		const { port1, port2 } = new MessageChannel();
		this.#port = port1;
		port2.on("message", () => {
			if (this.#waiting.length === 0) return;
			const wasUser = enter();
			const turn = this.#waiting.shift()!;
			this.wake();
			turn(wasUser);
		});
		port2.unref();
	}

	next(turn: Turn): void {
		this.#waiting.push(turn);
		this.wake();
	}

	/** Makes sure that there is a callback for what waits: a termination may have ended the one that was meant for it. */
	wake(): void {
		if (this.#waiting.length > 0) this.#port.postMessage(null);
	}
}

/** Runs cells so that they can be interrupted. */
export class Interrupts {
	readonly #shared: Int32Array;
	readonly #waiting = new Set<(error: Interrupted) => void>();
	#failing = false;
	#abort = new AbortController();
	readonly #turns = new Turns(() => this.enter());
	#run: Run | undefined;
	/** Turns that wait for the cell to begin; undefined once it has. */
	#beforeCell: Turn[] | undefined;

	/** @param takeRequests takes the requests that have come, if there are any */
	constructor(shared: Int32Array, port: MessagePort, takeRequests: () => void) {
		this.#shared = shared;
		port.on("message", (message: InterruptMessage) => {
			// First: what a terminated callback has left undone. The last message of an interrupt is never terminated.
			this.#turns.wake();
			if (message !== "request") this.#interrupt(message);
			takeRequests();
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
					resolve(call());
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
		if (typeof (value as PromiseLike<T> | null | undefined)?.then !== "function") return value;
		return new Promise<T>((resolve, reject) => {
			this.#waiting.add(reject);
			(value as PromiseLike<T>).then(
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
	 * @param cell calls `begin` right before user code starts; what it does before that is never terminated
	 */
	async run<T>(cell: (begin: () => void) => Promise<T>): Promise<T> {
		this.#forget();
		Atomics.store(this.#shared, slot.active, 1);
		try {
			return await new Promise<T>((resolve, reject) => {
				const run: Run = { reject };
				this.#run = run;
				const begin = () => {
					if (!isSettled(this.#shared) || this.#run !== run) throw new Interrupted();
					this.#sayBegun();
					this.leave();
				};
				this.#turns.next(() => cell(begin).then(resolve, reject));
			});
		} finally {
			this.#run = undefined;
			this.enter();
			Atomics.store(this.#shared, slot.active, 0);
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
		// Said more than once: the interrupt that it was about is over, and the next cell is not meant.
		if (isSettled(this.#shared)) return;
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
			this.leave();
			run?.reject(new Interrupted());
			if (this.#run === run) this.#run = undefined;
		});
		if (wasUser) this.leave();
	}
}
