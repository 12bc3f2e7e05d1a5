// text/plain of a value that shows itself in other formats alone and has nothing to say as an object: the words of its
// HTML, its Markdown, or at least what it is.

import { textOf } from "./text.js";

/** Longest text taken out of HTML, in UTF-16 units. */
const maxLength = 2000;
const entities: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: " " };

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
		if (mime === "text/html") return wordsOfHtml(String(content));
		if (mime === "image/svg+xml") return `SVG: ${String(content).length} characters`;
		if (mime.startsWith("image/")) return `Image: ${mime}`;
		if (mime === "application/json") return textOf(content);
	}
	return undefined;
}

function wordsOfHtml(html: string): string {
	const words = html
		.replace(/<(script|style)\b[\s\S]*?<\/\1\s*>/gi, "")
		.replace(/<(?:br|\/(?:p|div|li|tr|table|h[1-6]|ul|ol|pre|section|article))\b[^>]*>/gi, "\n")
		.replace(/<\/t[dh]\s*>/gi, "\t")
		.replace(/<!--[\s\S]*?-->|<[^>]*>/g, "")
		.replace(/&(?:#(\d+)|#x([\da-f]+)|(\w+));/gi, (whole, decimal, hex, name) => {
			if (name) return entities[name] ?? whole;
			const point = decimal ? Number(decimal) : Number.parseInt(hex, 16);
			return point <= 0x10ffff ? String.fromCodePoint(point) : whole;
		})
		.replace(/[ \t]+\n/g, "\n")
		.replace(/\n{3,}/g, "\n\n")
		.trim();
	return words === "" ? `HTML: ${html.length} characters` : cut(words);
}

function cut(text: string): string {
	return text.length > maxLength ? `${text.slice(0, maxLength)}… ${text.length - maxLength} more characters` : text;
}
