// text/plain of a value that shows itself in other formats alone and has nothing to say as an object: the words of its
// HTML, its Markdown, or at least what it is.

import { wordsOfHtml } from "./html-words.js";
import { textOf } from "./text.js";

/** Longest text taken out of HTML, in UTF-16 units. */
const maxLength = 2000;
/** Characters between the tags of HTML that are looked at for it. */
const lookedAt = 20_000;

/** Text of a value with this bundle. */
export function plainTextOf(value: unknown, bundle: Record<string, unknown>): string {
	const words = wordsOf(bundle);
	return words !== undefined && isBare(value) ? words : textOf(value);
}

/** Whether an object holds nothing but how it shows itself. */
function isBare(value: unknown): boolean {
	if (typeof value !== "object" || value === null) return false;
	try {
		// By descriptor: a getter is somebody's code.
		const isMethod = (key: string) => typeof Object.getOwnPropertyDescriptor(value, key)?.value === "function";
		return Object.keys(value).every((key) => key === "outerHTML" || isMethod(key));
	} catch {
		return false;
	}
}

function wordsOf(bundle: Record<string, unknown>): string | undefined {
	for (const [mime, content] of Object.entries(bundle)) {
		if (mime === "text/markdown" || mime === "text/latex") return cut(String(content));
		if (mime === "text/html") {
			const html = String(content);
			const words = wordsOfHtml(html, lookedAt);
			const whole = `HTML: ${html.length} characters`;
			return words === "" ? whole : words.length > maxLength ? `${words.slice(0, maxLength)}… ${whole}` : words;
		}
		if (mime === "image/svg+xml") return `SVG: ${String(content).length} characters`;
		if (mime.startsWith("image/")) return `Image: ${mime}`;
		if (mime === "application/json") return textOf(content);
	}
	return undefined;
}

function cut(text: string): string {
	return text.length > maxLength ? `${text.slice(0, maxLength)}… ${text.length - maxLength} more characters` : text;
}
