// Where a batch stands, for those who wait for it.

/**
 * A moment of a batch's run; it shows itself as a line of text.
 *
 * @example
 * ```ts
 * import { loadModel } from "octavo";
 * const model = await loadModel();
 * using batch = model.batch({ numBlocks: 40 });
 * for (let i = 0; i < 3; i++) batch.add([1, 2, 3], { maxTokens: 5, endTokens: [] });
 * await batch.run({ maxSteps: 2 });
 * const { numRunning, numEnded, numOutputTokens } = batch.progress;
 * console.log(numRunning, numEnded, numOutputTokens);   // 3 0 6
 * ```
 */
export class BatchProgress {
	/** Sequences added so far. */
	readonly numSequences: number;
	/** Of them: finished, cancelled or failed. */
	readonly numEnded: number;
	/** Sequences that run. */
	readonly numRunning: number;
	/** Sequences not let in yet. */
	readonly numWaiting: number;
	/** Sequences swapped out. */
	readonly numSwapped: number;
	/** Tokens decoded so far, by all. */
	readonly numOutputTokens: number;
	/** Output tokens a second of the steps' time; 0 before the first. */
	readonly outputTokensPerSecond: number;

	constructor(counts: Omit<BatchProgress, symbol | "toString">) {
		this.numSequences = counts.numSequences;
		this.numEnded = counts.numEnded;
		this.numRunning = counts.numRunning;
		this.numWaiting = counts.numWaiting;
		this.numSwapped = counts.numSwapped;
		this.numOutputTokens = counts.numOutputTokens;
		this.outputTokensPerSecond = counts.outputTokensPerSecond;
	}

	/** One line: `12 of 64 sequences ended, 8 running, 44 waiting; 3,210 tokens, 95.2 tokens/s`. */
	toString(): string {
		const swapped = this.numSwapped > 0 ? `, ${this.numSwapped} swapped out` : "";
		const states = `${this.numRunning} running, ${this.numWaiting} waiting${swapped}`;
		const tokens = `${this.numOutputTokens.toLocaleString("en-US")} tokens, ${this.outputTokensPerSecond.toFixed(1)} tokens/s`;
		return `${this.numEnded} of ${this.numSequences} sequences ended, ${states}; ${tokens}`;
	}

	/** The line. */
	[Symbol.for("Jupyter.display")](): Record<string, string> {
		return { "text/plain": this.toString() };
	}
}
