// Progress bars: one output that is replaced in place, at most ten times a second, so that a loop of a million steps pays
// for a few messages only. The time that is left is estimated from the mean speed so far.

import { OctavoError, received } from "../../sdk/errors.js";
import type { DisplayFunction, DisplayHandle } from "./display-function.js";

/** Pause between two updates, in milliseconds. */
const everyMs = 100;
const width = 24;

/** A progress bar. */
export interface Progress {
	/** Steps done. */
	readonly done: number;
	/** Steps in all; undefined where nobody knows. */
	readonly total: number | undefined;
	/** Counts steps; default one. @param note shown behind the bar from now on */
	advance(steps?: number, note?: string): void;
	/** Sets the steps done. */
	set(done: number, note?: string): void;
	/** Says that it is over, at whatever it has come to. Reaching the total says so too. */
	finish(): void;
}

/** Makes progress bars. */
export interface ProgressFunction {
	/**
	 * Shows a bar that the cell moves.
	 *
	 * @param total steps in all, from 0
	 * @throws {OctavoError} ERR_OCTAVO_OPTION for a total that is no such number
	 */
	(total: number, label?: string): Progress;
	/** Goes through items with a bar; for `for … of`. The total is the `length` or `size`, where there is one. */
	<T>(items: Iterable<T>, label?: string): Iterable<T>;
	/** Goes through items with a bar; for `for await … of`. */
	<T>(items: AsyncIterable<T>, label?: string): AsyncIterable<T>;
}

class Bar implements Progress {
	done = 0;
	readonly total: number | undefined;
	readonly #label: string;
	readonly #handle: Promise<DisplayHandle>;
	readonly #start = performance.now();
	#note = "";
	#shownMs = this.#start;
	#ended = false;

	constructor(display: DisplayFunction, total: number | undefined, label: string) {
		this.total = total;
		this.#label = label;
		this.#handle = display(this);
	}

	advance(steps = 1, note?: string): void {
		this.set(this.done + steps, note);
	}

	set(done: number, note?: string): void {
		if (this.#ended) return;
		this.done = done;
		if (note !== undefined) this.#note = note;
		if (this.total !== undefined && done >= this.total) this.finish();
		else if (performance.now() - this.#shownMs >= everyMs) this.#show();
	}

	finish(): void {
		if (this.#ended) return;
		this.#ended = true;
		this.#show();
	}

	#show(): void {
		this.#shownMs = performance.now();
		const frozen = this[Symbol.for("Jupyter.display") as never] as () => object;
		const bundle = frozen.call(this);
		void this.#handle.then((handle) => handle.update({ [Symbol.for("Jupyter.display")]: () => bundle }));
	}

	[Symbol.for("Jupyter.display")](): Record<string, string> {
		const { done, total } = this;
		const seconds = (performance.now() - this.#start) / 1000;
		const share = total === undefined ? undefined : total === 0 ? 1 : Math.min(1, done / total);
		const speed = done > 0 && seconds > 0 ? done / seconds : undefined;
		const left = !this.#ended && share !== undefined && speed ? `, ${clock((total! - done) / speed)} left` : "";
		const rate = speed === undefined ? "" : `, ${speed.toPrecision(3)}/s`;
		const filled = Math.round(width * (share ?? 0));
		const bar =
			share === undefined ? "" : `${"█".repeat(filled)}${"░".repeat(width - filled)} ${Math.floor(100 * share)}% `;
		const count = total === undefined ? `${done}` : `${done}/${total}`;
		const label = this.#label === "" ? "" : `${this.#label} `;
		const rest = `${count} in ${clock(seconds)}${rate}${left}${this.#note === "" ? "" : ` · ${this.#note}`}`;
		const element =
			share === undefined && this.#ended
				? ""
				: `<progress style="width:16em" ${share === undefined ? "" : `value="${share}"`}></progress> `;
		return {
			"text/plain": `${label}${bar}${rest}`,
			"text/html": `<div style="font-variant-numeric:tabular-nums">${escapeHtml(label)}${element}${escapeHtml(rest)}</div>`,
		};
	}
}

/** Makes the function that cells call. */
export function makeProgress(display: DisplayFunction): ProgressFunction {
	const make = (what: unknown, label: unknown = ""): unknown => {
		const name = String(label);
		if (typeof what === "number") {
			if (!Number.isFinite(what) || what < 0) refuse(what);
			return new Bar(display, what, name);
		}
		if (typeof what === "string" || typeof what !== "object" || what === null) refuse(what);
		const { length, size } = what as { length?: unknown; size?: unknown };
		const total = [length, size].find((count) => typeof count === "number") as number | undefined;
		if (Symbol.iterator in what) return through(what as Iterable<unknown>, () => new Bar(display, total, name));
		if (Symbol.asyncIterator in what) {
			return throughAsync(what as AsyncIterable<unknown>, () => new Bar(display, total, name));
		}
		return refuse(what);
	};
	return make as ProgressFunction;
}

function* through<T>(items: Iterable<T>, start: () => Bar): Iterable<T> {
	const bar = start();
	try {
		for (const item of items) {
			yield item;
			bar.advance();
		}
	} finally {
		bar.finish();
	}
}

async function* throughAsync<T>(items: AsyncIterable<T>, start: () => Bar): AsyncIterable<T> {
	const bar = start();
	try {
		for await (const item of items) {
			yield item;
			bar.advance();
		}
	} finally {
		bar.finish();
	}
}

function refuse(what: unknown): never {
	const expected = "a number of steps, at least 0, or something to iterate over";
	throw new OctavoError("ERR_OCTAVO_OPTION", `Expected ${expected} for progress() but received ${received(what)}`);
}

function clock(seconds: number): string {
	if (seconds < 10) return `${seconds.toFixed(1)} s`;
	const whole = Math.round(seconds);
	return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")} min`;
}

function escapeHtml(text: string): string {
	return text.replace(/[&<>]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[sign]!);
}
