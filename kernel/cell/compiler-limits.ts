// Texts that the compiler cannot take in, since they are nested too deeply for its stack: each is refused by itself, and the
// next text finds a compiler in order.

import { OctavoError } from "../../sdk/errors.js";
import type { Builder } from "./cell-program.js";

/** Makes a builder, or one that throws what its making threw: an error in tslab's timer would keep it from all later texts. */
export function attempt(create: () => Builder): Builder {
	try {
		return create();
	} catch (error) {
		const getSourceFile = () => {
			throw error;
		};
		return { getSourceFile } as unknown as Builder;
	}
}

/**
 * Compiles a cell.
 *
 * @throws {OctavoError} ERR_OCTAVO_NESTING where it is nested too deeply
 */
export function withinLimits<Result>(compile: () => Result): Result {
	return unlessTooDeep(compile, () => {
		throw new OctavoError(
			"ERR_OCTAVO_NESTING",
			"Expected a cell that the compiler can read but it is nested too deeply: put its data into a file",
		);
	});
}

/** Asks the compiler about a text; for one that is nested too deeply gives something else. */
export function unlessTooDeep<Result>(ask: () => Result, otherwise: () => Result): Result {
	try {
		return ask();
	} catch (error) {
		if (error instanceof RangeError && /call stack/.test(error.message)) return otherwise();
		throw error;
	}
}
