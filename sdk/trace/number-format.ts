// Numbers as tables show them. A function of its own file because it runs in notebook pages too, from its source: it may
// use nothing outside itself.

/** A number in few characters: whole numbers in full, others with 5 significant digits. */
export function formatNumber(value: number): string {
	if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "-∞";
	if (Number.isInteger(value) && Math.abs(value) < 1e15) return String(value);
	const size = Math.abs(value);
	return size >= 1e-4 && size < 1e7 ? String(Number(value.toPrecision(5))) : value.toExponential(3);
}
