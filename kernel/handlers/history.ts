// history_request: the inputs of this session, in memory. Outputs are not kept: entries carry null for them.

import type { Handler } from "../protocol/router.js";

/** Inputs remembered; older ones are forgotten. */
const kept = 10_000;

/** The inputs of one kernel session. */
export class History {
	#entries: { line: number; code: string }[] = [];

	/** Remembers an input under its execution count. */
	add(line: number, code: string): void {
		this.#entries.push({ line, code });
		if (this.#entries.length > kept) this.#entries = this.#entries.slice(-kept / 2);
	}

	/** Handles `history_request`: access types range, tail and search (glob with `*` and `?`). */
	readonly handle: Handler = ({ content }) => {
		const found = this.#find(content);
		const history = found.map(({ line, code }) => [1, line, content.output === true ? [code, null] : code]);
		return { content: { status: "ok", history } };
	};

	#find(content: Record<string, unknown>): { line: number; code: string }[] {
		const number = (value: unknown, otherwise: number) => (Number.isInteger(value) ? (value as number) : otherwise);
		const count = Math.max(0, number(content.n, kept));
		switch (content.hist_access_type) {
			case "range": {
				// Session 0 is the present one, as is 1, its own number; there are no others.
				if (![0, 1].includes(number(content.session, 0))) return [];
				const start = number(content.start, 0);
				const stop = number(content.stop, Number.POSITIVE_INFINITY);
				return this.#entries.filter(({ line }) => line >= start && line < stop);
			}
			case "search": {
				const pattern = globPattern(typeof content.pattern === "string" ? content.pattern : "*");
				const matching = this.#entries.filter(({ code }) => pattern.test(code));
				return last(content.unique === true ? unique(matching) : matching, count);
			}
			default:
				return last(this.#entries, count);
		}
	}
}

function last<T>(items: T[], count: number): T[] {
	return count === 0 ? [] : items.slice(-count);
}

/** Keeps the newest of equal inputs. */
function unique(entries: { line: number; code: string }[]): { line: number; code: string }[] {
	return [...new Map(entries.map((entry) => [entry.code, entry])).values()].sort((a, b) => a.line - b.line);
}

function globPattern(glob: string): RegExp {
	const source = [...glob].map((sign) =>
		sign === "*" ? ".*" : sign === "?" ? "." : sign.replace(/[\\^$.|+()[\]{}]/g, "\\$&"),
	);
	return new RegExp(`^${source.join("")}$`, "s");
}
