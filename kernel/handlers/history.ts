// history_request: the inputs of this session and of earlier ones. There is no raw form of a cell, so `raw` says nothing.

import type { Handler } from "../protocol/router.js";
import { type HistoryEntry, HistoryStore } from "./history-store.js";

/** Answers what is asked about earlier inputs. */
export class History {
	readonly #store: HistoryStore;

	/** @param store where entries are kept */
	constructor(store = new HistoryStore()) {
		this.#store = store;
	}

	/** Keeps an input under its execution count. */
	add(line: number, code: string): void {
		this.#store.add(line, code);
	}

	/** Keeps the plain text of an input's result. */
	addOutput(line: number, output: string): void {
		this.#store.addOutput(line, output);
	}

	/** Settles when everything has been written. */
	close(): Promise<void> {
		return this.#store.close();
	}

	/** Handles `history_request`: access types range, tail and search (glob with `*` and `?`). */
	readonly handle: Handler = ({ content }) => {
		const history = this.#find(content).map(({ session, line, code, output }) => [
			session,
			line,
			content.output === true ? [code, output] : code,
		]);
		return { content: { status: "ok", history } };
	};

	#find(content: Record<string, unknown>): readonly HistoryEntry[] {
		const number = (value: unknown, otherwise: number) => (Number.isInteger(value) ? (value as number) : otherwise);
		const count = Math.max(0, number(content.n, Number.POSITIVE_INFINITY));
		switch (content.hist_access_type) {
			case "range": {
				const start = number(content.start, 0);
				const stop = number(content.stop, Number.POSITIVE_INFINITY);
				return this.#session(number(content.session, 0)).filter(({ line }) => line >= start && line < stop);
			}
			case "search": {
				const pattern = globPattern(typeof content.pattern === "string" ? content.pattern : "*");
				return this.#newest(count, ({ code }) => pattern.test(code), content.unique === true);
			}
			default:
				return this.#newest(count, () => true, false);
		}
	}

	/** Entries of a session: 0 is this one, a negative number counts back from it. */
	#session(number: number): readonly HistoryEntry[] {
		if (number > 0) return this.#store.read(number);
		if (number === 0) return this.#store.current;
		const earlier = this.#store.earlier().at(number);
		return earlier === undefined ? [] : this.#store.read(earlier);
	}

	/** The newest entries that match, oldest first; `unique` keeps the newest of equal inputs. */
	#newest(count: number, matches: (entry: HistoryEntry) => boolean, unique: boolean): HistoryEntry[] {
		const found: HistoryEntry[] = [];
		const seen = new Set<string>();
		const take = (entries: readonly HistoryEntry[]) => {
			for (const entry of [...entries].reverse()) {
				if (found.length >= count) return;
				if (!matches(entry) || (unique && seen.has(entry.code))) continue;
				seen.add(entry.code);
				found.push(entry);
			}
		};
		take(this.#store.current);
		for (const session of this.#store.earlier().reverse()) {
			if (found.length >= count) break;
			take(this.#store.read(session));
		}
		return found.reverse();
	}
}

function globPattern(glob: string): RegExp {
	const source = [...glob].map((sign) =>
		sign === "*" ? ".*" : sign === "?" ? "." : sign.replace(/[\\^$.|+()[\]{}]/g, "\\$&"),
	);
	return new RegExp(`^${source.join("")}$`, "s");
}
