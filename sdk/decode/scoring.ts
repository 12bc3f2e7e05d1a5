// How a policy written in TypeScript takes part in a run: the engine stops to ask for scores, and is answered between two
// requests, on the main thread. The work that sent the request sees one answer to it, as if there had been no stop.

import type { AdvanceRequest, AdvanceResult, NativeSession, ScoreEvent } from "../../native/addon.js";
import { OctavoError, received } from "../errors.js";
import type { LayerView } from "./layer-view.js";
import type { ScoreBlock } from "./policies/custom.js";
import type { Work } from "./run.js";

/** Gives the scores that the engine asks for. */
export type Scorer = (event: ScoreEvent) => Float32Array;

/**
 * A scorer of a function of blocks.
 *
 * @param layer gives the layer's cache as it stands
 */
export function makeScorer(score: ScoreBlock, layer: (index: number) => LayerView): Scorer {
	return (event) => {
		const view = layer(event.layer);
		return Float32Array.from(event.candidates, (logicalIndex) => {
			const given: unknown = score(view.block(logicalIndex));
			if (typeof given === "number" && !Number.isNaN(given)) return given;
			const where = `block ${logicalIndex} of layer ${event.layer} in step ${event.stepIndex}`;
			throw new OctavoError(
				"ERR_OCTAVO_POLICY",
				`Expected a number from score() for ${where} but received ${received(given)}`,
			);
		});
	};
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
			// Each step that began has taken its token; one that was under way had it already.
			const numBegun: number = result.numSteps + (wasInside ? 0 : 1);
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
