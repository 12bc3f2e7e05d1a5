// What a session is asked to do, as generators that yield requests to the engine and take its results. One text then
// serves the synchronous and the asynchronous forms, which so cannot drift apart.

import type {
	AdvanceRequest,
	AdvanceResult,
	BlockFullEvent,
	DecisionSpec,
	EngineEvent,
	LayerEvent,
	NanEvent,
	NativeSession,
	ScoreEvent,
} from "../../native/addon.js";
import type { Breakpoint, Breakpoints } from "../debug/breakpoints.js";
import { fromNative } from "../errors.js";
import { type EvictionStop, eviction } from "./eviction-stop.js";
import type { CheckedRun } from "./options.js";
import type { Step } from "./step.js";

/** After a step: its token was fed. */
export interface TokenEvent {
	/** Always `token`. */
	kind: "token";
	/** Index of the step, from 0 for the prefill. */
	stepIndex: number;
	/** Token that the step fed. */
	token: number;
	/** The completed step. */
	step: Step;
}

/** Kinds of breakpoints of a session, with their events. */
export interface SessionEvents {
	/** Before tokens or a block are dropped; it can still be vetoed, or another block be chosen. */
	evict: EvictionStop;
	/** Right after the newest block of a layer became full, before any eviction it triggers. */
	"block-full": BlockFullEvent;
	/** After a layer of a step. */
	layer: LayerEvent;
	/** A layer made a key or value that is not finite; going on fails the step with ERR_OCTAVO_NAN. */
	nan: NanEvent;
	/** After each decoded token. */
	token: TokenEvent;
}

/** Where a session may stand inside a step. */
export type StopEvent = SessionEvents[Exclude<keyof SessionEvents, "token">];

/** Why a run ended. */
export type RunResult =
	/** `maxTokens` were decoded. */
	| { reason: "max-tokens"; numSteps: number }
	/** An end token was sampled, and fed. */
	| { reason: "end-token"; numSteps: number; token: number }
	/** A breakpoint held. For all but `token` the session stands inside a step, which the next call goes on with. */
	| { reason: "breakpoint"; numSteps: number; event: SessionEvents[keyof SessionEvents]; breakpoint: Breakpoint };

/** Requests to the engine, and what they come to. */
export type Work<T> = Generator<AdvanceRequest, T, AdvanceResult>;

/** Runs work on the calling thread. */
export function runSync<T>(session: NativeSession, work: Work<T>): T {
	try {
		let next = work.next();
		while (!next.done) next = work.next(session.advance(next.value));
		return next.value;
	} catch (error) {
		throw fromNative(error);
	}
}

/**
 * Runs work off the main thread; an aborted signal rejects with its reason and leaves the session able to go on.
 *
 * @param advance hands a request to the session's engine
 */
export async function runAsync<T>(
	session: NativeSession,
	advance: (request: AdvanceRequest) => Promise<AdvanceResult>,
	work: Work<T>,
	signal: AbortSignal | undefined,
): Promise<T> {
	signal?.throwIfAborted();
	const cancel = () => session.cancel();
	signal?.addEventListener("abort", cancel);
	try {
		let next = work.next();
		while (!next.done) {
			const result = await advance(next.value);
			next = work.next(result);
			if (!next.done || result.reason === "cancelled") signal?.throwIfAborted();
		}
		return next.value;
	} catch (error) {
		throw fromNative(error);
	} finally {
		signal?.removeEventListener("abort", cancel);
	}
}

/** What work needs of its session. */
export interface RunContext {
	breakpoints: Breakpoints<SessionEvents>;
	/** The steps completed since the last call; their rows go into the trace when it is next looked at. */
	takeSteps(): Step[];
	readonly native: NativeSession;
	/** Where the engine stopped inside a step. */
	stoppedAt: StopEvent | undefined;
	decision: DecisionSpec | undefined;
	/** What was decided at the stop, once. */
	takeDecision(): DecisionSpec | undefined;
}

/** Completes steps, passing over breakpoints; returns the last one and whether an end token ended it. */
export function* completeSteps(context: RunContext, request: AdvanceRequest): Work<{ steps: Step[]; ended: boolean }> {
	let left = request.maxSteps;
	let { forcedTokens } = request;
	let result: AdvanceResult;
	do {
		const decision = context.takeDecision();
		const isFirst = left === request.maxSteps && forcedTokens === request.forcedTokens;
		result = yield isFirst && !decision
			? request
			: { ...request, maxSteps: left, ...(forcedTokens ? { forcedTokens } : {}), ...(decision ? { decision } : {}) };
		left -= result.numSteps;
		// A step under way has taken its token already.
		if (left > 0) forcedTokens = forcedTokens?.subarray(result.numSteps + (context.native.insideStep ? 1 : 0));
	} while (left > 0 && result.reason !== "end-token");
	context.stoppedAt = undefined;
	return { steps: context.takeSteps(), ended: result.reason === "end-token" };
}

/** Decodes until a breakpoint or an end. */
export function* runToStop(context: RunContext, { maxTokens, sampling, endTokens }: CheckedRun): Work<RunResult> {
	const { breakpoints } = context;
	// Token conditions need the record of each step; without them the engine runs freely.
	const eachStep = breakpoints.has("token");
	let numSteps = 0;
	while (numSteps < maxTokens) {
		const stop = {
			evict: breakpoints.has("evict"),
			blockFull: breakpoints.has("block-full"),
			layerEnd: breakpoints.has("layer"),
			nan: breakpoints.has("nan"),
		};
		const maxSteps = eachStep ? 1 : maxTokens - numSteps;
		const decision = context.takeDecision();
		const result = yield { maxSteps, sampling, endTokens, stop, ...(decision ? { decision } : {}) };
		numSteps += result.numSteps;
		if (result.reason === "cancelled") continue;
		// Questions for scores have been answered on the way.
		const happened = result.reason === "event" ? (result.event as Exclude<EngineEvent, ScoreEvent>) : undefined;
		const event: StopEvent | undefined =
			happened?.kind === "evict" ? eviction(happened, context.native, context) : happened;
		context.stoppedAt = event;
		if (event) {
			const breakpoint = breakpoints.match(event.kind, event as never);
			if (breakpoint) return { reason: "breakpoint", numSteps, event, breakpoint };
			continue;
		}
		if (eachStep) {
			const step = context.takeSteps().at(-1)!;
			const token: TokenEvent = { kind: "token", stepIndex: step.index, token: step.token, step };
			const breakpoint = breakpoints.match("token", token);
			if (breakpoint) return { reason: "breakpoint", numSteps, event: token, breakpoint };
		}
		if (result.reason === "end-token") return { reason: "end-token", numSteps, token: result.token };
	}
	return { reason: "max-tokens", numSteps };
}
