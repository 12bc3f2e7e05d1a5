// Damped least squares (Levenberg and Marquardt) with a numeric Jacobian: small, dense and deterministic.

type Residuals = (point: readonly number[]) => number[];

const squares = (values: readonly number[]): number => values.reduce((sum, value) => sum + value * value, 0);

/** Solves a symmetric positive definite system by Gaussian elimination with pivoting. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
	const rows = matrix.map((row, i) => [...row, right[i]!]);
	const n = rows.length;
	for (let column = 0; column < n; column++) {
		let pivot = column;
		for (let i = column + 1; i < n; i++) {
			if (Math.abs(rows[i]![column]!) > Math.abs(rows[pivot]![column]!)) pivot = i;
		}
		[rows[column], rows[pivot]] = [rows[pivot]!, rows[column]!];
		const head = rows[column]!;
		for (const row of rows.slice(column + 1)) {
			const factor = row[column]! / head[column]!;
			for (let j = column; j <= n; j++) row[j]! -= factor * head[j]!;
		}
	}
	const solution = new Array<number>(n).fill(0);
	for (let i = n - 1; i >= 0; i--) {
		let value = rows[i]![n]!;
		for (let j = i + 1; j < n; j++) value -= rows[i]![j]! * solution[j]!;
		solution[i] = value / rows[i]![i]!;
	}
	return solution;
}

/**
 * Finds a point with a small sum of squared residuals.
 *
 * @param maxSteps greatest number of steps, each with one evaluation a dimension and a few more
 */
export function solveLeastSquares(residuals: Residuals, start: readonly number[], maxSteps: number): number[] {
	const width = 1e-4;
	let point = [...start];
	let values = residuals(point);
	let damping = 1e-2;
	for (let step = 0; step < maxSteps; step++) {
		const columns = point.map((value, i) => {
			const moved = residuals(point.with(i, value + width));
			return moved.map((other, row) => (other - values[row]!) / width);
		});
		const normal = columns.map((a) => columns.map((b) => a.reduce((sum, value, row) => sum + value * b[row]!, 0)));
		const slope = columns.map((a) => -a.reduce((sum, value, row) => sum + value * values[row]!, 0));
		const before = squares(values);
		let improved = false;
		while (!improved && damping < 1e8) {
			const damped = normal.map((row, i) => row.map((value, j) => (i === j ? value * (1 + damping) + 1e-12 : value)));
			const move = solve(damped, slope);
			const next = point.map((value, i) => value + Math.max(-1, Math.min(1, move[i]!)));
			const trial = residuals(next);
			if (squares(trial) < before) {
				[point, values] = [next, trial];
				damping = Math.max(1e-9, damping / 5);
				improved = true;
			} else damping *= 4;
		}
		if (!improved || before - squares(values) < 1e-7 * before) break;
	}
	return point;
}
