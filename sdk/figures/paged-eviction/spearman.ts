// Rank correlation. Ties share the mean of their ranks.

function ranks(values: readonly number[]): number[] {
	const order = values.map((_, i) => i).sort((a, b) => values[a]! - values[b]!);
	const result = new Array<number>(values.length);
	for (let from = 0; from < order.length; ) {
		let to = from;
		while (to < order.length && values[order[to]!] === values[order[from]!]) to++;
		for (let i = from; i < to; i++) result[order[i]!] = (from + to - 1) / 2;
		from = to;
	}
	return result;
}

/**
 * Spearman's coefficient, from -1 to 1; 0 where one side is constant.
 *
 * Source: Spearman 1904, as Pearson's coefficient of the ranks.
 */
export function spearman(a: readonly number[], b: readonly number[]): number {
	const [x, y] = [ranks(a), ranks(b)];
	const mean = (a.length - 1) / 2;
	let [xy, xx, yy] = [0, 0, 0];
	for (let i = 0; i < a.length; i++) {
		const [dx, dy] = [x[i]! - mean, y[i]! - mean];
		xy += dx * dy;
		xx += dx * dx;
		yy += dy * dy;
	}
	return xx === 0 || yy === 0 ? 0 : xy / Math.sqrt(xx * yy);
}
