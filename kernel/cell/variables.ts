// The variables that cells have declared, by name. Each is an accessor into the function that its cell became, so that
// that cell's functions and later cells mean the same variable; declaring a name again makes another variable.

/** Variables of all cells. */
export class Variables {
	/** What converted cells see as `exports`. */
	readonly values: Record<string, unknown> = {};
	#replaced = new Map<string, PropertyDescriptor | undefined>();

	/** Says that a cell is about to run. */
	begin(): void {
		this.#replaced.clear();
	}

	/**
	 * Declares the names of a cell.
	 *
	 * @param accessors an object whose getters and setters reach the cell's variables
	 */
	declare(accessors: object): void {
		for (const [name, accessor] of Object.entries(Object.getOwnPropertyDescriptors(accessors))) {
			this.#replaced.set(name, Object.getOwnPropertyDescriptor(this.values, name));
			Object.defineProperty(this.values, name, accessor);
		}
	}

	/** Gives names that a failed cell declared but never reached what they meant before. */
	restore(): void {
		for (const [name, before] of this.#replaced) {
			if (this.#isReached(name)) continue;
			if (before) Object.defineProperty(this.values, name, before);
			else delete this.values[name];
		}
	}

	#isReached(name: string): boolean {
		try {
			return this.values[name] !== undefined;
		} catch {
			// Read before its declaration ran.
			return false;
		}
	}
}
