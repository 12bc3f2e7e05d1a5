// Declarative option checks. Each public function lists its options once, with a check and a default; a misspelt
// option is named back with the nearest one, as silently ignoring it would change an experiment.

import { OctavoError, received } from "./errors.js";

/** Checks one value and gives it back, or the default when it is undefined. Throws ERR_OCTAVO_OPTION. */
export type Check<T> = (value: unknown, name: string) => T;

function fail(name: string, expected: string, value: unknown): never {
	throw new OctavoError("ERR_OCTAVO_OPTION", `Expected ${expected} for ${name} but received ${received(value)}`);
}

/** A whole number from `min` to `max`. */
export function integer(min: number, max: number, fallback: number): Check<number> {
	return (value, name) => {
		if (value === undefined) return fallback;
		if (!Number.isInteger(value) || (value as number) < min || (value as number) > max) {
			fail(name, `a whole number from ${min} to ${max}`, value);
		}
		return value as number;
	};
}

/** A number above 0, at most `max`. */
export function positive(max: number, fallback: number): Check<number> {
	return (value, name) => {
		if (value === undefined) return fallback;
		if (typeof value === "number" && value > 0 && value <= max) return value;
		return fail(name, `a number above 0, at most ${max},`, value);
	};
}

/** A number from `min` to `max`; `null` as the upper end stands for any finite number. */
export function number(min: number, max: number | null, fallback: number): Check<number> {
	return (value, name) => {
		if (value === undefined) return fallback;
		if (!Number.isFinite(value) || (value as number) < min || (max !== null && (value as number) > max)) {
			fail(name, max === null ? `a finite number, at least ${min},` : `a number from ${min} to ${max}`, value);
		}
		return value as number;
	};
}

/** One of the given strings. */
export function oneOf<const T extends string>(values: readonly T[], fallback: T): Check<T> {
	return (value, name) => {
		if (value === undefined) return fallback;
		if (!values.includes(value as T)) fail(name, `one of ${values.map((v) => JSON.stringify(v)).join(", ")}`, value);
		return value as T;
	};
}

/** True or false. */
export function boolean(fallback: boolean): Check<boolean> {
	return (value, name) => {
		if (value === undefined) return fallback;
		if (typeof value !== "boolean") fail(name, "true or false", value);
		return value;
	};
}

/** An instance of a class. */
export function instanceOf<T>(type: abstract new (...args: never) => T): Check<T | undefined> {
	return (value, name) => {
		if (value !== undefined && !(value instanceof type)) fail(name, `an instance of ${type.name}`, value);
		return value as T | undefined;
	};
}

/** Lets a value be absent. */
export function optional<T>(check: Check<T>): Check<T | undefined> {
	return (value, name) => (value === undefined ? undefined : check(value, name));
}

/** Makes an option one that must be given. */
export function required<T>(check: Check<T>): Check<T> {
	return (value, name) => (value === undefined ? fail(name, "a value", value) : check(value, name));
}

/** Takes any value: for options that are checked elsewhere. */
export const anything: Check<unknown> = (value) => value;

function editDistance(a: string, b: string): number {
	let row = Array.from({ length: b.length + 1 }, (_, j) => j);
	for (let i = 1; i <= a.length; i++) {
		const next = [i];
		for (let j = 1; j <= b.length; j++) {
			const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
			next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, replaced);
		}
		row = next;
	}
	return row[b.length]!;
}

/** The name nearest to a misspelt one; undefined when none is near. */
export function nearest(name: string, names: readonly string[]): string | undefined {
	const ranked = names.map((candidate) => ({
		candidate,
		distance: editDistance(name.toLowerCase(), candidate.toLowerCase()),
	}));
	ranked.sort((a, b) => a.distance - b.distance);
	const best = ranked[0];
	// Of a name of three letters or less all but one must be right: two changes make nearly any other.
	return best && best.distance <= Math.max(name.length > 3 ? 2 : 1, name.length / 3) ? best.candidate : undefined;
}

type Checked<S extends Record<string, Check<unknown>>> = { [K in keyof S]: S[K] extends Check<infer T> ? T : never };

/**
 * Checks that an object has no other fields than these.
 *
 * @param owner what the fields belong to, for messages: `session()`
 * @throws {OctavoError} ERR_OCTAVO_OPTION naming the field, and the nearest one that there is
 */
export function checkFields(owner: string, given: object, known: readonly string[]): void {
	const unknown = Object.keys(given).find((name) => !known.includes(name));
	if (unknown === undefined) return;
	const near = nearest(unknown, known);
	const hint = near ? `; did you mean ${near}?` : "";
	throw new OctavoError(
		"ERR_OCTAVO_OPTION",
		`Expected ${known.length ? `options ${known.join(", ")}` : "no options"} for ${owner} but received ${unknown}${hint}`,
	);
}

/**
 * Checks an options object against a table of checks.
 *
 * @param owner what the options belong to, for messages: `session()`
 * @throws {OctavoError} ERR_OCTAVO_OPTION naming the option
 */
export function checkOptions<S extends Record<string, Check<unknown>>>(
	owner: string,
	given: unknown,
	checks: S,
): Checked<S> {
	if (given !== undefined && (typeof given !== "object" || given === null || Array.isArray(given))) {
		throw new OctavoError(
			"ERR_OCTAVO_OPTION",
			`Expected an options object for ${owner} but received ${received(given)}`,
		);
	}
	const options = (given ?? {}) as Record<string, unknown>;
	const known = Object.keys(checks);
	checkFields(owner, options, known);
	return Object.fromEntries(known.map((name) => [name, checks[name]!(options[name], name)])) as Checked<S>;
}
