// text/plain of any value. Values in a notebook are hostile in practice (proxies, throwing inspectors, arrays of
// millions): every look at one may throw, and the result is cut to what a page can bear.

import { inspect } from "node:util";

const maxLength = 100_000;

/**
 * Text of a value, cut at 100,000 characters; arrays at 100 items, strings at 10,000 characters.
 *
 * @param depth levels shown; default 4
 */
export function textOf(value: unknown, depth = 4): string {
	let text: string;
	try {
		text = inspect(value, { depth, maxArrayLength: 100, maxStringLength: 10_000, breakLength: 100 });
	} catch (error) {
		text = `[${typeof value} that cannot be shown: ${messageOf(error)}]`;
	}
	return text.length > maxLength ? `${text.slice(0, maxLength)}… ${text.length - maxLength} more characters` : text;
}

/** Name and message of anything thrown, on one line. Never throws. */
export function messageOf(error: unknown): string {
	try {
		return String(error).split("\n", 1)[0]!.slice(0, 500);
	} catch {
		return `a thrown ${typeof error}`;
	}
}
