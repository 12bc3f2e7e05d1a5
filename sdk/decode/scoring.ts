// How a policy written in TypeScript takes part in a run: the engine stops to ask for scores, and is answered between two
// requests, on the main thread. The work that sent the request sees one answer to it, as if there had been no stop.

import type { AdvanceRequest, AdvanceResult, NativeSession, ScoreEvent } from "../../native/addon.js";
import { OctavoError, received } from "../errors.js";
import type { LayerView } from "./layer-view.js";
import type { CustomScore, ScoreBlock, ScoreTokens } from "./policies/custom.js";
import type { Work } from "./run.js";
import { ScoringViews } from "./scored-view.js";

/** Gives the scores that the engine asks for. */
export type Scorer = (event: ScoreEvent) => Float32Array;

/**
 * A scorer of a function of blocks or tokens.
 *
 * @param layer gives the layer's cache as it stands
 */
export function makeScorer(custom: CustomScore, session: NativeSession, layer: (index: number) => LayerView): Scorer {
	return (event) => {
		const views = new ScoringViews(session, event, layer(event.layer), custom.needs);
		const where = `layer ${event.layer} in step ${event.stepIndex}`;
		const refuse = (what: string, given: unknown): never => {
			const thing = isPromise(given) ? "a promise, which the engine does not wait for" : received(given);
			throw blamed(`Expected ${what} of ${where} but received ${thing}`, custom.madeAt);
		};
		if (custom.granularity === "block") {
			return Float32Array.from(event.candidates, (logicalIndex) => {
				const given: unknown = (custom.score as ScoreBlock)(views.block(logicalIndex));
				if (typeof given === "number" && !Number.isNaN(given)) return given;
				return refuse(`a number from score() for block ${logicalIndex}`, given);
			});
		}
		const given: unknown = (custom.score as ScoreTokens)(views.tokens());
		const numTokens = event.candidates.length;
		if (!isNumbers(given) || given.length !== numTokens) {
			return refuse(`an array of ${numTokens} numbers from score(), one for each token`, given);
		}
		return Float32Array.from({ length: numTokens }, (_, token) => {
			const score: unknown = given[token];
			if (typeof score === "number" && !Number.isNaN(score)) return score;
			return refuse(`a number from score() for the token at position ${event.candidates[token]}`, score);
		});
	};
}

function isPromise(value: unknown): boolean {
	return typeof (value as PromiseLike<unknown> | null | undefined)?.then === "function";
}

function isNumbers(value: unknown): value is ArrayLike<unknown> {
	return typeof value === "object" && value !== null && typeof (value as ArrayLike<unknown>).length === "number";
}

// The function has returned when its result is refused, so its frame is put where an exception would have had it.
function blamed(message: string, madeAt: string): OctavoError {
	const error = new OctavoError("ERR_OCTAVO_POLICY", message);
	const [title, ...frames] = (error.stack ?? "").split(/\n(?=\s+at )/);
	if (madeAt) error.stack = [title, madeAt, ...frames].join("\n");
	return error;
}

/** Answers the engine's questions for scores on the way. */
export function* withScores<T>(work: Work<T>, session: NativeSession, scorer: Scorer): Work<T> {
	let next = work.next();
	while (!next.done) {
		let request: AdvanceRequest = next.value;
		let numSteps = 0;
		let wasInside = session.insideStep;
		let result: AdvanceResult = yield request;
		while (result.reason === "event" && result.event.kind === "score") {
			numSteps += result.numSteps;
			// Each decode step that began has taken its token; one that was under way had it already, and a prompt takes none.
			const numBegun: number = result.event.phase === "prefill" ? 0 : result.numSteps + (wasInside ? 0 : 1);
			wasInside = true;
			request = {
				...request,
				maxSteps: request.maxSteps - result.numSteps,
				...(request.forcedTokens ? { forcedTokens: request.forcedTokens.subarray(numBegun) } : {}),
				decision: { scores: scorer(result.event) },
			};
			result = yield request;
		}
		next = work.next({ ...result, numSteps: numSteps + result.numSteps });
	}
	return next.value;
}
