// What a stop of the inspector is for: one that the user asked for by a breakpoint, a step or a pause, or one on the way there,
// in code that its author did not write.

import type { ExceptionFilters } from "./exception-filters.js";
import type { Sources } from "./sources.js";
import type { PausedReason, Stop } from "./stop.js";

/** How a stopped thread goes on. */
export type Motion = "resume" | "stepOver" | "stepInto" | "stepOut";

/** Why a stop is one for the user; or how the thread goes on when it is none. */
export type Why = "breakpoint" | "exception" | "pause" | "step" | "onward" | "out" | "over";

/** Steps through code that is not the user's before a step gives up and goes on. */
const maxDetours = 64;

/** The step or the pause that is on its way. */
export class Steps {
	readonly #execution: () => unknown;
	/** The cell that a step began in: a step that leaves it has come to its end. */
	#stepIn: { execution: unknown } | undefined;
	#detours = 0;
	#pausing = false;

	/** @param execution what tells the running cell from others */
	constructor(execution: () => unknown) {
		this.#execution = execution;
	}

	/** Whether a pause has been asked for that has not come. */
	get pausing(): boolean {
		return this.#pausing;
	}

	/** Says that the thread goes on. */
	begin(motion: Motion): void {
		this.#stepIn = motion === "resume" ? undefined : { execution: this.#execution() };
		this.#detours = 0;
	}

	/** Says that the next of the user's statements is to be stopped at. */
	pause(): void {
		this.#pausing = true;
		this.#detours = 0;
	}

	/** Says that the user has been shown a stop. */
	end(): void {
		this.#stepIn = undefined;
		this.#pausing = false;
	}

	/** Judges a stop. @param reasons without those that stop for the kernel's own sake */
	async why(stop: Stop, reasons: readonly PausedReason[], sources: Sources, filters: ExceptionFilters): Promise<Why> {
		const step = this.#stepIn;
		if ((stop.event.hitBreakpoints ?? []).length > 0 && stop.top(sources) === "user") return "breakpoint";
		if (reasons.some(({ reason }) => reason === "exception" || reason === "promiseRejection")) {
			return stop.hasUserFrame && (await stop.escapes(sources, filters.all)) ? "exception" : "onward";
		}
		const top = stop.top(sources);
		if (top !== "user") {
			this.#detours = step || this.#pausing ? this.#detours + 1 : maxDetours;
			if (this.#detours >= maxDetours || (top === "library" && !stop.hasUserFrame)) return "onward";
			return top === "library" ? "out" : "over";
		}
		if (this.#pausing) return "pause";
		if (!step) return "breakpoint";
		return step.execution === this.#execution() ? "step" : "onward";
	}
}
