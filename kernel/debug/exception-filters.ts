// What thrown values stop the thread. V8 tells of an exception that begins in a library only while libraries are not passed
// over, so the filters choose what is passed over too; steps leave libraries by themselves.

import type { Inspector } from "./inspector.js";
import { libraryPatterns } from "./sources.js";

/** What is stopped at besides breakpoints: everything thrown that reaches user code, or only what nothing catches. */
export type ExceptionFilter = "all" | "uncaught";

/** The filters of one debugging session. */
export class ExceptionFilters {
	#chosen: ReadonlySet<ExceptionFilter> = new Set();

	/** Chooses filters; none stops at nothing thrown. */
	choose(filters: readonly ExceptionFilter[]): void {
		this.#chosen = new Set(filters);
	}

	/** Whether everything thrown that reaches user code stops the thread. */
	get all(): boolean {
		return this.#chosen.has("all");
	}

	/** Tells V8. */
	async apply(inspector: Inspector): Promise<void> {
		const some = this.#chosen.size > 0;
		const patterns = some
			? libraryPatterns.filter((pattern) => /node:|evalmachine|\^\$/.test(pattern))
			: libraryPatterns;
		await inspector.post("Debugger.setBlackboxPatterns", { patterns });
		await inspector.post("Debugger.setPauseOnExceptions", { state: some ? "all" : "none" });
	}
}
