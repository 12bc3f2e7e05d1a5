// Reads the arguments of debug requests, which anyone may send: a wrong one is named with what was expected.

import type { Wanted } from "./breakpoints.js";
import { failure } from "./inspector.js";

/** Arguments as they came. */
export type Arguments = Record<string, unknown>;

/** Breakpoints taken in one request. */
const maxBreakpoints = 10_000;

/** Takes any value as arguments; what is no object has none. */
export function asArguments(value: unknown): Arguments {
	return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Arguments) : {};
}

/** A text. @throws {OctavoError} ERR_OCTAVO_DEBUG when it is none */
export function textOf(args: Arguments, name: string): string {
	const value = args[name];
	if (typeof value !== "string") throw expected("a string", name, value);
	return value;
}

/** A whole number from `least`. @throws {OctavoError} ERR_OCTAVO_DEBUG when it is none */
export function countOf(args: Arguments, name: string, least = 0): number {
	const value = args[name];
	if (!Number.isSafeInteger(value) || (value as number) < least) {
		throw expected(`a whole number from ${least}`, name, value);
	}
	return value as number;
}

/** The same where it may be absent. @throws {OctavoError} ERR_OCTAVO_DEBUG when it is there and none */
export function optionalCount(args: Arguments, name: string, least = 0): number | undefined {
	return args[name] === undefined || args[name] === null ? undefined : countOf(args, name, least);
}

/** The path of a `source`. @throws {OctavoError} ERR_OCTAVO_DEBUG when there is none */
export function pathOf(args: Arguments): string {
	return textOf(asArguments(args.source), "path");
}

/** Texts in a list. @throws {OctavoError} ERR_OCTAVO_DEBUG when it is no list of texts */
export function textsOf(args: Arguments, name: string): string[] {
	const value = args[name];
	if (!Array.isArray(value) || value.some((item) => typeof item !== "string")) {
		throw expected("a list of strings", name, value);
	}
	return value as string[];
}

/** The breakpoints of a `setBreakpoints`. @throws {OctavoError} ERR_OCTAVO_DEBUG when one is none */
export function breakpointsOf(args: Arguments): Wanted[] {
	const list = args.breakpoints ?? (Array.isArray(args.lines) ? args.lines.map((line) => ({ line })) : []);
	if (!Array.isArray(list) || list.length > maxBreakpoints) {
		throw expected(`a list of at most ${maxBreakpoints} breakpoints`, "breakpoints", list);
	}
	return list.map((item) => {
		const given = asArguments(item);
		const wanted: Wanted = { line: countOf(given, "line", 1) };
		const column = optionalCount(given, "column", 1);
		if (column !== undefined) wanted.column = column;
		for (const name of ["condition", "hitCondition", "logMessage"] as const) {
			if (given[name] !== undefined && given[name] !== null) wanted[name] = textOf(given, name);
		}
		return wanted;
	});
}

function expected(what: string, name: string, value: unknown) {
	const came = JSON.stringify(value) ?? "nothing";
	return failure(`Expected ${what} for ${name} but received ${came.length > 80 ? `${came.slice(0, 80)}…` : came}`);
}
