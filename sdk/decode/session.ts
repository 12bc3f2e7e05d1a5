// A decoding session: one sequence, its paged cache and its trace. Every way to advance it, a step at a time or a native
// run, awaited or not, records the same rows.

import { setImmediate } from "node:timers/promises";
import type { AdvanceRequest, SamplingSpec } from "../../native/addon.js";
import type { Breakpoint } from "../debug/breakpoints.js";
import type { LiveView } from "../debug/live-view.js";
import type { Steppable } from "../debug/steppable.js";
import { native } from "../errors.js";
import { BlockMapDrawer } from "./live-block-map.js";
import {
	checkRun,
	checkStep,
	checkView,
	type Prompt,
	promptTokens,
	type RunOptions,
	type SessionViewOptions,
	type StepOptions,
} from "./options.js";
import { completeSteps, type RunResult, runToStop, type SessionEvents, type Work } from "./run.js";
import { SessionView } from "./session-view.js";
import type { Step } from "./step.js";
import { checkFork, type ForkOptions, type RewindTo, type Snapshot } from "./time-travel.js";

// A step as short as this costs less than handing it to another thread; `steps` then takes it on this one, and lets
// other work in every so often.
const shortStepUs = 1_000;
const turnMs = 8;

/**
 * Decodes one sequence, step by step.
 *
 * @example
 * ```ts
 * import { loadModel, policies, tasks } from "octavo";
 * const model = await loadModel();
 * const session = model.session({ blockSize: 8, policy: policies.pagedEviction({ budget: 32 }), seed: 7 });
 * await session.prefill(tasks.recall({ seed: 1 }).context);
 * session.breakOn("evict", (event) => event.layer === 3);
 * const stop = await session.run({ maxTokens: 64 });
 * if (stop.reason === "breakpoint" && stop.event.kind === "evict") {
 *   const block = session.layer(3).block(stop.event.logicalIndex!);   // still there: the stop is before the eviction
 *   console.log(block.keys.shape);   // [ 2, 8, 32 ]
 * }
 * session.close();
 * ```
 */
export class Session extends SessionView implements Steppable<Step, SessionEvents, RunOptions, RunResult, StepOptions> {
	/**
	 * Computes the prompt, as step 0. Only on an empty session; passes over breakpoints.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_TOKENIZER for text where the model has no vocabulary; ERR_OCTAVO_TOKEN,
	 * ERR_OCTAVO_POSITION, ERR_OCTAVO_POOL_EXHAUSTED for a prompt that is empty, unknown or too long
	 */
	async prefill(prompt: Prompt, options: Pick<StepOptions, "signal"> = {}): Promise<Step> {
		const { sampling, signal } = checkStep("prefill()", options, this.model);
		return this.driver.async(this.#prefill(prompt, sampling), signal);
	}

	/** `prefill` on the calling thread. */
	prefillSync(prompt: Prompt): Step {
		return this.driver.sync(this.#prefill(prompt, checkStep("prefillSync()", {}, this.model).sampling));
	}

	/**
	 * Samples a token and computes it; completes a step that a breakpoint stopped in. Passes over breakpoints.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_PREFILL before prefill; ERR_OCTAVO_BUSY, ERR_OCTAVO_CLOSED, ERR_OCTAVO_POSITION,
	 * ERR_OCTAVO_POOL_EXHAUSTED, ERR_OCTAVO_NAN, each leaving the session as before the step
	 */
	async step(options: StepOptions = {}): Promise<Step> {
		const { sampling, signal } = checkStep("step()", options, this.model);
		return this.driver.async(this.#step({ sampling }), signal);
	}

	/** `step` on the calling thread. */
	stepSync(options: Omit<StepOptions, "signal"> = {}): Step {
		const { sampling } = checkStep("stepSync()", options, this.model);
		return this.driver.sync(this.#step({ sampling }));
	}

	/**
	 * Feeds given tokens in place of sampled ones, one a step. Passes over breakpoints.
	 *
	 * @returns a step for each token
	 */
	async feed(tokens: Prompt, options: Pick<StepOptions, "signal"> = {}): Promise<Step[]> {
		const { sampling, signal } = checkStep("feed()", options, this.model);
		return this.driver.async(this.#feed(tokens, sampling), signal);
	}

	/** `feed` on the calling thread. */
	feedSync(tokens: Prompt): Step[] {
		return this.driver.sync(this.#feed(tokens, checkStep("feedSync()", {}, this.model).sampling));
	}

	/** Steps one by one until `maxTokens` or an end token; passes over breakpoints. Leave the loop at will and go on later. */
	async *steps(options: RunOptions = {}): AsyncGenerator<Step, void, undefined> {
		const { maxTokens, sampling, endTokens, signal } = checkRun("steps()", options, this.model);
		const request = { maxSteps: 1, sampling, endTokens };
		let lastUs = Number.POSITIVE_INFINITY;
		let turnStart = performance.now();
		for (let i = 0; i < maxTokens; i++) {
			signal?.throwIfAborted();
			const work = completeSteps(this.driver, request);
			let completed: { steps: Step[]; ended: boolean };
			if (lastUs < shortStepUs) {
				if (performance.now() - turnStart > turnMs) {
					await setImmediate();
					turnStart = performance.now();
				}
				completed = this.driver.sync(work);
			} else {
				completed = await this.driver.async(work, signal);
				turnStart = performance.now();
			}
			const { steps, ended } = completed;
			const step = steps.at(-1)!;
			lastUs = step.us;
			yield step;
			if (ended) return;
		}
	}

	/** Decodes natively until a breakpoint holds, `maxTokens` are done or an end token is sampled. */
	async run(options: RunOptions = {}): Promise<RunResult> {
		const checked = checkRun("run()", options, this.model);
		return this.driver.async(runToStop(this.driver, checked), checked.signal);
	}

	/** `run` on the calling thread. */
	runSync(options: Omit<RunOptions, "signal"> = {}): RunResult {
		return this.driver.sync(runToStop(this.driver, checkRun("runSync()", options, this.model)));
	}

	/**
	 * Stops `run` at a happening: `evict` before it takes effect, `block-full` before any eviction it triggers, `token`
	 * after a step, `layer` after each layer of one, `nan` before a key or value that is not finite fails it.
	 *
	 * @param condition stops only where this holds. Default: always
	 * @throws {OctavoError} ERR_OCTAVO_BREAKPOINT for an unknown kind
	 */
	breakOn<K extends keyof SessionEvents>(kind: K, condition?: (event: SessionEvents[K]) => boolean): Breakpoint {
		return this.driver.breakpoints.add(kind, condition);
	}

	/**
	 * Keeps where the last completed step left the session, to be gone back to. Copies no keys or values: the blocks are
	 * held, and parked in their pools when evicted, until `release` or the session's close.
	 */
	snapshot(): Snapshot {
		return this.driver.snapshot();
	}

	/**
	 * Goes back to a completed step: a snapshot (also forth), a number of tokens seen, or before the step of an event.
	 * A step under way is taken back. The trace forgets the rows after; what comes then is bit-equal to the first time,
	 * but for ids and counts of free and parked blocks where other snapshots or forks hold some meanwhile.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_HISTORY where the option `history` does not reach; ERR_OCTAVO_SNAPSHOT for one that
	 * was released or is another session's; ERR_OCTAVO_OPTION, ERR_OCTAVO_BUSY, ERR_OCTAVO_CLOSED
	 */
	rewind(to: RewindTo): void {
		this.driver.rewind(to);
	}

	/**
	 * Another session that goes on from the last completed step. Blocks are shared copy on write, so at most one partial
	 * block a layer is ever copied; both take new blocks from the same pools (see the option `forks`).
	 *
	 * @throws {OctavoError} ERR_OCTAVO_OPTION, ERR_OCTAVO_BUDGET, ERR_OCTAVO_BUSY, ERR_OCTAVO_CLOSED;
	 * ERR_OCTAVO_POOL_EXHAUSTED where reassigned positions move keys and a pool cannot take the copies, which changes nothing
	 */
	fork(options: ForkOptions = {}): Session {
		const changes = checkFork(options, this.model.metadata);
		this.driver.drain();
		const fork = native(() => this.driver.native.fork(changes));
		return new Session(fork, this.forkedModel(changes), this.driver);
	}

	/**
	 * A picture of the block tables that follows the session, with buttons to step, to go on to the next breakpoint and to
	 * go back by a token, as far as the option `history` reaches. Show it as a cell's last expression.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_OPTION, ERR_OCTAVO_LAYER
	 */
	view(options: SessionViewOptions = {}): LiveView {
		const { layers, maxTokens } = checkView(options, this.model.numLayers);
		for (const layer of layers) this.layer(layer);
		const drawer = new BlockMapDrawer();
		const { driver } = this;
		return driver.views.open({
			get busy() {
				return driver.busy || driver.closed;
			},
			draw: () =>
				drawer.draw({
					layers: layers.map((index) => this.layer(index)),
					numTokens: this.numTokens,
					stoppedAt: this.stoppedAt,
					text: this.text(this.tokens.slice(-12)),
				}),
			actions: {
				step: () => this.step(),
				run: () => this.run({ maxTokens }),
				back: () => this.rewind({ tokens: this.numTokens - 1 }),
			},
		});
	}

	/**
	 * Gives all blocks back. The trace and tensors in hand stay; other calls throw ERR_OCTAVO_CLOSED.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_BUSY while a step is under way
	 */
	close(): void {
		this.driver.close();
	}

	/** `close`, for `using`. */
	[Symbol.dispose](): void {
		this.close();
	}

	*#prefill(prompt: Prompt, sampling: SamplingSpec): Work<Step> {
		const tokens = promptTokens(prompt, this.model.tokenizer, true);
		native(() => this.driver.native.prefill(tokens));
		return yield* this.#step({ sampling });
	}

	*#feed(prompt: Prompt, sampling: SamplingSpec): Work<Step[]> {
		const tokens = promptTokens(prompt, this.model.tokenizer, false);
		if (tokens.length === 0) return [];
		if (this.driver.native.insideStep) yield* this.#step({ sampling });
		const request = { maxSteps: tokens.length, forcedTokens: tokens, sampling };
		return (yield* completeSteps(this.driver, request)).steps.slice(-tokens.length);
	}

	*#step(request: Pick<AdvanceRequest, "sampling" | "endTokens">): Work<Step> {
		return (yield* completeSteps(this.driver, { ...request, maxSteps: 1 })).steps.at(-1)!;
	}
}
