// What is thrown, looked at with care: it may be a proxy whose traps throw, an error that is its own cause, or no error.

import { inspect } from "node:util";

/** Errors that one carries along: more are counted. */
const maxErrors = 10;

/** `instanceof` of any value: a proxy may throw. */
export function isInstance<T>(value: unknown, type: abstract new (...values: never[]) => T): value is T {
	try {
		return value instanceof type;
	} catch {
		return false;
	}
}

/** Whether a value is an error, or looks like one. */
export function isError(value: unknown): value is Error {
	if (isInstance(value, Error)) return true;
	const isObject = typeof value === "object" && value !== null;
	return isObject && safeText(value, "stack") !== "" && safeText(value, "message") !== "";
}

/** A property as text; what a hostile getter does is not worth losing the error for. */
export function safeText(value: object, key: string): string {
	const text = safeValue(value, key);
	return typeof text === "string" ? text : "";
}

/** Name of an error: where it has none of its own, its class's. */
export function nameOf(error: Error): string {
	const name = safeText(error, "name") || "Error";
	if (name !== "Error") return name;
	const made = safeValue(error, "constructor");
	return (typeof made === "function" && safeText(made, "name")) || name;
}

/** What brought an error about, if it says so. */
export function causeOf(error: Error): { cause: unknown } | undefined {
	const cause = safeValue(error, "cause");
	return cause === undefined ? undefined : { cause };
}

/** The errors that one stands for, such as those of `Promise.any`, and how many more there are. */
export function errorsOf(error: Error): { errors: unknown[]; more: number } {
	try {
		const { errors } = error as AggregateError;
		if (Array.isArray(errors))
			return { errors: errors.slice(0, maxErrors), more: Math.max(0, errors.length - maxErrors) };
	} catch {
		// A list whose traps throw is told of as little as none.
	}
	return { errors: [], more: 0 };
}

/** Text of a value that is no error. */
export function textOfThrown(value: unknown): string {
	try {
		return inspect(value, { depth: 2 });
	} catch {
		return `[${typeof value} that cannot be shown]`;
	}
}

function safeValue(value: object, key: string): unknown {
	try {
		return (value as Record<string, unknown>)[key];
	} catch {
		return undefined;
	}
}
