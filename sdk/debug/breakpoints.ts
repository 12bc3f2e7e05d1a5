// A set of breakpoints by kind. Conditions are plain functions of the event; one that throws stops the run with its
// error, as a condition that silently never holds would be worse.

import { OctavoError, received } from "../errors.js";
import { nearest } from "../options.js";

/** A breakpoint that was set. */
export interface Breakpoint {
	/** Running number in its session. */
	readonly id: number;
	/** What it stops at. */
	readonly kind: string;
	/** Times it stopped a run. */
	readonly hits: number;
	/** Set to false to pass over it for a while. */
	enabled: boolean;
	/** Takes it away. */
	remove(): void;
}

interface Entry<Kinds> {
	handle: { id: number; kind: string; hits: number; enabled: boolean; remove(): void };
	kind: keyof Kinds;
	condition: (event: never) => boolean;
}

/** The breakpoints of one session; `Kinds` maps each kind to its event. */
export class Breakpoints<Kinds> {
	readonly #kinds: readonly (keyof Kinds & string)[];
	readonly #entries = new Set<Entry<Kinds>>();
	#nextId = 1;

	/** @param kinds names of the kinds there are */
	constructor(kinds: readonly (keyof Kinds & string)[]) {
		this.#kinds = kinds;
	}

	/**
	 * Sets a breakpoint.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_BREAKPOINT for an unknown kind or a condition that is no function
	 */
	add<K extends keyof Kinds & string>(kind: K, condition: (event: Kinds[K]) => boolean = () => true): Breakpoint {
		if (!this.#kinds.includes(kind)) {
			const near = nearest(String(kind), this.#kinds);
			const hint = near ? `; did you mean ${near}?` : "";
			const expected = `one of ${this.#kinds.join(", ")} for breakOn`;
			throw new OctavoError("ERR_OCTAVO_BREAKPOINT", `Expected ${expected} but received ${received(kind)}${hint}`);
		}
		if (typeof condition !== "function") {
			throw new OctavoError(
				"ERR_OCTAVO_BREAKPOINT",
				`Expected a function as condition but received ${received(condition)}`,
			);
		}
		const remove = () => {
			this.#entries.delete(entry);
		};
		const handle = { id: this.#nextId++, kind, hits: 0, enabled: true, remove };
		const entry: Entry<Kinds> = { handle, kind, condition };
		this.#entries.add(entry);
		return handle;
	}

	/** Whether an enabled breakpoint of this kind is set. */
	has(kind: keyof Kinds): boolean {
		for (const entry of this.#entries) if (entry.kind === kind && entry.handle.enabled) return true;
		return false;
	}

	/** The first enabled breakpoint, in the order set, whose condition holds for an event. */
	match<K extends keyof Kinds>(kind: K, event: Kinds[K]): Breakpoint | undefined {
		for (const { handle, kind: own, condition } of this.#entries) {
			if (own !== kind || !handle.enabled || !condition(event as never)) continue;
			handle.hits++;
			return handle;
		}
		return undefined;
	}
}
