// How far numbers are off as a whole.

/** Relative L2 error: the norm of the difference over that of what was expected. */
export function relativeError(actual: ArrayLike<number>, expected: readonly number[]): number {
	let difference = 0;
	let norm = 0;
	for (const [i, value] of expected.entries()) {
		difference += (actual[i]! - value) ** 2;
		norm += value ** 2;
	}
	return Math.sqrt(difference / norm);
}
