// Checks of what a caller asks of a chart: options known by name, and a step and layers that the trace has. A message
// lists what there is.

import { OctavoError, received } from "../errors.js";
import { anything, checkOptions } from "../options.js";

/** Throws ERR_OCTAVO_CHART. */
export function fail(expected: string, came: string): never {
	throw new OctavoError("ERR_OCTAVO_CHART", `Expected ${expected} but received ${came}`);
}

/**
 * Refuses an option that is not among `known`, naming it and the nearest known one.
 *
 * @throws {OctavoError} ERR_OCTAVO_OPTION
 */
export function checkNames(figure: string, options: unknown, known: readonly string[]): void {
	checkOptions(`chart.${figure}()`, options, Object.fromEntries(known.map((name) => [name, anything])));
}

/**
 * Refuses what is no trace, such as the session that has one.
 *
 * @throws {OctavoError} ERR_OCTAVO_CHART
 */
export function checkTrace(figure: string, trace: { table?: unknown }, hint: string): void {
	if (typeof trace?.table === "function") return;
	fail(`a trace, such as ${hint}, for chart.${figure}()`, received(trace));
}

/** Distinct values in ascending order. */
export function distinct(values: Iterable<number>): number[] {
	return [...new Set(values)].sort((a, b) => a - b);
}

/** Numbers as a short list for a message: `0 to 63`, `8, 16, 24`, or `none`. */
export function describeNumbers(values: readonly number[]): string {
	if (values.length === 0) return "none";
	const [first, last] = [values[0]!, values.at(-1)!];
	if (values.length > 2 && last - first === values.length - 1) return `${first} to ${last}`;
	return values.length > 24 ? `${values.slice(0, 24).join(", ")}, … ${last}` : values.join(", ");
}

/** Checks that `value` is one of the numbers that the trace has. */
export function checkOneOf(name: string, value: unknown, available: readonly number[], of: string): number {
	if (typeof value === "number" && available.includes(value)) return value;
	return fail(`${name} to be one of ${of} (${describeNumbers(available)})`, received(value));
}

/** The layers to draw: those asked for, or the first four. */
export function chooseLayers(layer: unknown, available: readonly number[], of: string): number[] {
	if (layer === undefined) return available.slice(0, 4);
	const asked = Array.isArray(layer) ? layer : [layer];
	if (asked.length === 0) fail("at least one layer", "an empty array");
	return asked.map((each) => checkOneOf("layer", each, available, of));
}

/** Tokens to point out on an axis of positions, such as the records of a prompt. */
export interface PositionMark {
	/** Name shown in the legend or hover text. */
	label: string;
	/** RoPE positions. */
	positions: readonly number[];
}

/** Checks the option `mark`. */
export function checkMarks(mark: unknown): readonly PositionMark[] {
	if (mark === undefined) return [];
	if (!Array.isArray(mark)) fail("an array of { label, positions } for mark", received(mark));
	for (const each of mark as unknown[]) {
		const { label, positions } = (each ?? {}) as Partial<PositionMark>;
		if (typeof label !== "string") fail("a string for mark's label", received(label));
		if (!positions || !Array.from(positions).every(Number.isInteger)) {
			fail("an array of whole numbers for mark's positions", received(positions));
		}
	}
	return mark as PositionMark[];
}
