// The words of HTML, for front ends that show none. One pass, in time that grows with the length whatever is left open. Ours
// rather than html-to-text: its parsers are five packages more in each kernel, for a layout that nobody asks of a fallback.

const named: ReadonlyMap<string, string> = new Map(
	Object.entries({
		amp: "&",
		apos: "'",
		copy: "©",
		deg: "°",
		gt: ">",
		hellip: "…",
		lt: "<",
		mdash: "—",
		middot: "·",
		minus: "−",
		nbsp: " ",
		ndash: "–",
		quot: '"',
		times: "×",
	}),
);
/** Tags behind which another line begins. */
const breaks = /^<(?:br|\/(?:p|div|li|tr|table|h[1-6]|ul|ol|pre|section|article))(?![\w-])/i;
const hidden = /^<(script|style)(?![\w-])/i;

/** Longest way to write one character, as "&#1114111;". */
const longestName = 10;

/**
 * Gives the text between the tags of HTML: elements that stand below each other in lines, the cells of a row with tabs.
 *
 * @param enough characters after which the rest is not looked at, blanks between the tags among them; default all
 */
export function wordsOfHtml(html: string, enough = Number.POSITIVE_INFINITY): string {
	const some = (from: number, to: number) =>
		characters(html.slice(from, Math.min(to, from + longestName * (enough + 1))));
	let words = "";
	let at = 0;
	while (words.length <= enough) {
		const tag = html.indexOf("<", at);
		words += some(at, tag < 0 ? html.length : tag);
		if (tag < 0) break;
		const start = html.slice(tag, tag + 16);
		const end = start.startsWith("<!--") ? endOf(html, "-->", tag + 4) : endOf(html, ">", tag + 1);
		// Left open to the end: no tag, as in "a < b".
		if (end < 0) {
			words += start.startsWith("<!--") ? "" : some(tag, html.length);
			break;
		}
		at = end;
		const [, element] = hidden.exec(start) ?? [];
		if (element) {
			const closing = new RegExp(`</${element}\\s*>`, "gi");
			closing.lastIndex = at;
			if (!closing.test(html)) break;
			at = closing.lastIndex;
		} else if (breaks.test(start)) {
			words += "\n";
		} else if (/^<\/t[dh](?![\w-])/i.test(start)) {
			words += "\t";
		}
	}
	const lines = words.split("\n").map((line) => line.trimEnd());
	return lines
		.filter((line, i) => line !== "" || lines[i - 1] !== "")
		.join("\n")
		.trim();
}

function endOf(html: string, what: string, from: number): number {
	const found = html.indexOf(what, from);
	return found < 0 ? found : found + what.length;
}

/** Puts characters in place of their names and numbers. */
function characters(text: string): string {
	return text.replace(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|(\w{1,8}));/gi, (whole, decimal, hex, name) => {
		if (name) return named.get(name) ?? whole;
		const point = decimal ? Number(decimal) : Number.parseInt(hex, 16);
		return point <= 0x10ffff ? String.fromCodePoint(point) : whole;
	});
}
