// Going back: what a snapshot is to a caller, and how a target of `rewind` is named.

import type { NativeSession, RewindTarget } from "../../native/addon.js";
import { native, OctavoError, received } from "../errors.js";
import type { StepText } from "../model/step-text.js";
import { anything, checkOptions, integer, optional } from "../options.js";
import type { TraceRecorder } from "../trace/recorder.js";
import { checkPolicy } from "./options.js";
import type { Policy } from "./policies/policy.js";

/**
 * A completed step of a session or of a batch's sequence, kept. It holds its blocks, which stay in the pool though they be
 * evicted; no keys or values are copied, but where a batch needs the room in its pools.
 *
 * @example
 * ```ts
 * import { loadModel, tasks } from "octavo";
 * const model = await loadModel();
 * using session = model.session({ blockSize: 8 });
 * await session.prefill(tasks.recall({ seed: 1 }).context);
 * using snapshot = session.snapshot();
 * await session.run({ maxTokens: 8, endTokens: [] });
 * session.rewind(snapshot);
 * console.log(session.numTokens, snapshot.numTokens);   // 128 128
 * ```
 */
export class Snapshot {
	/** Tokens seen. */
	readonly numTokens: number;
	/** Identity in its session. */
	readonly id: number;
	/** Rows of the trace up to then; shared, not copied. */
	readonly recorder: TraceRecorder;
	/** Text that is unfinished up to then. */
	readonly text: StepText;
	readonly #session: NativeSession;
	#released = false;

	/** Made by `snapshot`. */
	constructor(session: NativeSession, id: number, recorder: TraceRecorder, text: StepText) {
		this.id = id;
		this.#session = session;
		this.numTokens = native(() => session.numTokens);
		this.recorder = recorder;
		this.text = text;
	}

	/** Whether it belongs to a session. */
	isOf(session: NativeSession): boolean {
		return this.#session === session;
	}

	/**
	 * Lets its blocks go; the close of its session does so too.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_CLOSED after that; ERR_OCTAVO_BUSY while a step is under way
	 */
	release(): void {
		if (this.#released) return;
		native(() => this.#session.dropSnapshot(this.id));
		this.#released = true;
	}

	/** `release`, for `using`. */
	[Symbol.dispose](): void {
		this.release();
	}

	/** Shows where it stands. */
	[Symbol.for("Jupyter.display")](): Record<string, string> {
		return { "text/plain": `Snapshot after ${this.numTokens} tokens${this.#released ? ", released" : ""}` };
	}
}

/** Where `rewind` goes: a snapshot of this session, a number of tokens seen, or before the step of an event. */
export type RewindTo = Snapshot | { tokens: number } | { before: { stepIndex: number } | { step: number } };

/** The engine's name of a target. @throws {OctavoError} ERR_OCTAVO_OPTION, ERR_OCTAVO_SNAPSHOT for another session's */
export function rewindTarget(to: RewindTo, session: NativeSession): RewindTarget {
	if (to instanceof Snapshot) {
		if (to.isOf(session)) return { snapshot: to.id };
		throw new OctavoError("ERR_OCTAVO_SNAPSHOT", "Expected a snapshot of this session but received one of another");
	}
	const given = checkOptions("rewind()", to, {
		tokens: optional(integer(0, Number.MAX_SAFE_INTEGER, 0)),
		before: anything,
	});
	if (given.tokens !== undefined) return { tokens: given.tokens };
	const { stepIndex, step } = (given.before ?? {}) as { stepIndex?: number; step?: number };
	const index = stepIndex ?? step;
	if (Number.isInteger(index) && index! >= 0) return { stepIndex: index! };
	throw new OctavoError(
		"ERR_OCTAVO_OPTION",
		`Expected a snapshot, { tokens } or { before: event } for rewind() but received ${given.before === undefined ? received(to) : `before: ${received(given.before)}`}`,
	);
}

/** Options of `fork`. */
export interface ForkOptions {
	/** What is evicted from here on. Default: the parent's policy. */
	policy?: Policy;
	/** Key of random choices from here on. Default: the parent's. */
	seed?: number;
}

/** Checks the options of `fork`. @throws {OctavoError} ERR_OCTAVO_OPTION, ERR_OCTAVO_BUDGET */
export function checkFork(
	options: unknown,
	{ blockSize, numLayers }: { blockSize: number; numLayers: number },
): { policy?: Policy; seed?: number } {
	const { policy, seed } = checkOptions("fork()", options, {
		policy: anything,
		seed: optional(integer(0, Number.MAX_SAFE_INTEGER, 0)),
	});
	return {
		...(policy === undefined ? {} : { policy: checkPolicy(policy, blockSize, numLayers) }),
		...(seed === undefined ? {} : { seed }),
	};
}
