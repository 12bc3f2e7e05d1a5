// Percentile bootstrap of a mean. The generator has a fixed seed: a figure must come out the same each time.

/** A mean and its confidence interval. */
export interface Interval {
	mean: number;
	low: number;
	high: number;
}

const numResamples = 2000;

/**
 * Mean of `values` with the percentile bootstrap interval.
 *
 * @param confidence share of the interval, from 0 to 1
 * Source: Efron & Tibshirani 1993, section 13.3. The generator is SplitMix32.
 */
export function bootstrapMean(values: readonly number[], confidence: number): Interval {
	const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
	let state = 0x9e3779b9;
	const nextIndex = () => {
		state = (state + 0x9e3779b9) | 0;
		let z = state ^ (state >>> 16);
		z = Math.imul(z, 0x21f0aaad);
		z ^= z >>> 15;
		z = Math.imul(z, 0x735a2d97);
		z ^= z >>> 15;
		return Math.floor(((z >>> 0) / 2 ** 32) * values.length);
	};
	const means = Float64Array.from({ length: numResamples }, () => {
		let sum = 0;
		for (let i = 0; i < values.length; i++) sum += values[nextIndex()]!;
		return sum / values.length;
	}).sort();
	const at = (share: number) => means[Math.min(numResamples - 1, Math.max(0, Math.round(share * (numResamples - 1))))]!;
	// A rounding error must not put the mean outside its interval.
	return { mean, low: Math.min(mean, at((1 - confidence) / 2)), high: Math.max(mean, at((1 + confidence) / 2)) };
}
