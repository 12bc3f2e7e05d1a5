// What `using` needs and Node.js 20 lacks: the stacks of resources and the error that keeps another one. Where the
// runtime has its own, those are used. The kernel's own cells dispose of their top-level resources by the same stack.
// The package for this, disposablestack 1.1.8, brings 93 others (18 MB) and loads 130 files before the first cell, which took
// more than 100 ms; here it is one file.

type Cleanup = () => unknown;

/** Makes the error for one that came while another was on its way; called with and without `new`. */
function suppressed(error: unknown, kept: unknown, message?: string): Error {
	const made = new Error(message);
	Object.setPrototypeOf(made, suppressed.prototype);
	const own = (value: unknown) => ({ value, writable: true, configurable: true });
	return Object.defineProperties(made, { error: own(error), suppressed: own(kept) });
}
suppressed.prototype = Object.create(Error.prototype, {
	constructor: { value: suppressed, writable: true, configurable: true },
	name: { value: "SuppressedError", writable: true, configurable: true },
});
Object.defineProperty(suppressed, "name", { value: "SuppressedError" });

function methodOf(value: unknown, keys: readonly symbol[]): Cleanup | undefined {
	if (value === null || value === undefined) return undefined;
	for (const key of keys) {
		const method = (value as Record<symbol, unknown>)[key];
		if (typeof method === "function") return () => method.call(value);
	}
	throw new TypeError("Expected a value with a method Symbol.dispose or Symbol.asyncDispose.");
}

function callable(given: unknown, cleanup: Cleanup): Cleanup {
	if (typeof given !== "function")
		throw new TypeError(`Expected a function that disposes but received ${typeof given}`);
	return cleanup;
}

/** Resources in the order of their making; disposed of in the other. */
class Stack {
	#cleanups: Cleanup[] | undefined = [];
	readonly #keys: readonly symbol[];

	constructor(keys: readonly symbol[]) {
		this.#keys = keys;
	}

	get disposed(): boolean {
		return this.#cleanups === undefined;
	}

	use<T>(value: T): T {
		this.add(methodOf(value, this.#keys));
		return value;
	}

	adopt<T>(value: T, onDispose: (value: T) => unknown): T {
		this.add(callable(onDispose, () => onDispose(value)));
		return value;
	}

	defer(onDispose: Cleanup): void {
		this.add(callable(onDispose, onDispose));
	}

	add(cleanup: Cleanup | undefined): void {
		if (!this.#cleanups) throw new ReferenceError("The stack has been disposed of.");
		if (cleanup) this.#cleanups.push(cleanup);
	}

	/** Takes all cleanups, last first; none the second time. */
	take(): Cleanup[] {
		const taken = this.#cleanups?.reverse() ?? [];
		this.#cleanups = undefined;
		return taken;
	}

	moveInto<S extends Stack>(next: S): S {
		if (!this.#cleanups) throw new ReferenceError("The stack has been disposed of.");
		for (const cleanup of this.take().reverse()) next.add(cleanup);
		return next;
	}
}

class OwnDisposableStack extends Stack {
	constructor() {
		super([Symbol.dispose]);
	}

	dispose(): void {
		let failure: { error: unknown } | undefined;
		for (const cleanup of this.take()) {
			try {
				cleanup();
			} catch (error) {
				failure = { error: failure ? suppressed(error, failure.error) : error };
			}
		}
		if (failure) throw failure.error;
	}

	[Symbol.dispose](): void {
		this.dispose();
	}

	move(): OwnDisposableStack {
		return this.moveInto(new OwnDisposableStack());
	}
}

class OwnAsyncDisposableStack extends Stack {
	constructor() {
		super([Symbol.asyncDispose, Symbol.dispose]);
	}

	async disposeAsync(): Promise<void> {
		let failure: { error: unknown } | undefined;
		for (const cleanup of this.take()) {
			try {
				await cleanup();
			} catch (error) {
				failure = { error: failure ? suppressed(error, failure.error) : error };
			}
		}
		if (failure) throw failure.error;
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.disposeAsync();
	}

	move(): OwnAsyncDisposableStack {
		return this.moveInto(new OwnAsyncDisposableStack());
	}
}

/** Puts in place what the runtime does not have. */
export function installDisposables(): void {
	const missing = {
		SuppressedError: suppressed,
		DisposableStack: OwnDisposableStack,
		AsyncDisposableStack: OwnAsyncDisposableStack,
	};
	for (const [name, value] of Object.entries(missing)) {
		if (name in globalThis) continue;
		Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
	}
}

/** The resources that a cell declares with `using` at its top level. */
export class CellResources {
	#stack = new OwnAsyncDisposableStack();
	#size = 0;

	/** Whether there is something to dispose of. */
	get isEmpty(): boolean {
		return this.#size === 0;
	}

	/** Takes the value of a declaration. @param asynchronous whether it is `await using` */
	use<T>(value: T, asynchronous: boolean): T {
		const keys = asynchronous ? [Symbol.asyncDispose, Symbol.dispose] : [Symbol.dispose];
		this.#stack.add(methodOf(value, keys));
		this.#size++;
		return value;
	}

	/** Disposes of all, the last first; rejects with what failed, which keeps what `failed` holds. */
	async dispose(failed?: { error: unknown }): Promise<void> {
		const stack = this.#stack;
		this.#stack = new OwnAsyncDisposableStack();
		this.#size = 0;
		try {
			await stack.disposeAsync();
		} catch (error) {
			throw failed ? suppressed(error, failed.error, String(failed.error)) : error;
		}
	}
}
