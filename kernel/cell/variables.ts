// The variables that cells have declared, by name. Each is an accessor into the function that its cell became, so that
// that cell's functions and later cells mean the same variable; declaring a name again makes another variable.

/** Variables of all cells. */
export class Variables {
	/** What converted cells see as `exports`. */
	readonly values: Record<string, unknown> = {};
	#starting: CellNames | undefined;

	/** Names of a cell that is about to run. */
	begin(): CellNames {
		this.#starting = new CellNames(this.values);
		return this.#starting;
	}

	/**
	 * Declares the names of the cell that begins: the first that it does.
	 *
	 * @param accessors an object whose getters and setters reach the cell's variables
	 */
	declare(accessors: object): void {
		this.#starting?.declare(accessors);
	}
}

/** What one cell declares. */
export class CellNames {
	readonly #values: Record<string, unknown>;
	readonly #declared = new Map<string, { own: PropertyDescriptor; before: PropertyDescriptor | undefined }>();

	constructor(values: Record<string, unknown>) {
		this.#values = values;
	}

	/** Makes its variables those of their names. */
	declare(accessors: object): void {
		for (const [name, own] of Object.entries(Object.getOwnPropertyDescriptors(accessors))) {
			own.set ??= refusal(name);
			this.#declared.set(name, { own, before: Object.getOwnPropertyDescriptor(this.#values, name) });
			Object.defineProperty(this.#values, name, own);
		}
	}

	/** Gives names that it declared but never reached, as it failed, what they meant before. */
	restore(): void {
		for (const [name, { own, before }] of this.#declared) {
			// Another cell may have declared it since.
			if (Object.getOwnPropertyDescriptor(this.#values, name)?.get !== own.get || this.#isReached(name)) continue;
			Object.defineProperty(this.#values, name, before ?? { ...own, get: reader(name, own.get!) });
		}
	}

	#isReached(name: string): boolean {
		try {
			return this.#values[name] !== undefined;
		} catch {
			// Read before its declaration ran.
			return false;
		}
	}
}

/** Reads a name whose cell failed; what it never came to has no value, and later cells that are typed by it must hear so. */
function reader(name: string, get: () => unknown): () => unknown {
	return function read() {
		try {
			return get();
		} catch {
			const error = new ReferenceError(`'${name}' has no value: the cell that declares it failed before it came to it`);
			Error.captureStackTrace(error, read);
			throw error;
		}
	};
}

/** Refuses to assign to a constant or to what was imported, as JavaScript does; without a setter nothing would be said. */
function refusal(name: string): () => never {
	return function refuse() {
		const error = new TypeError(`Assignment to constant variable '${name}'.`);
		Error.captureStackTrace(error, refuse);
		throw error;
	};
}
