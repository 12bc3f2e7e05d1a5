// How the next token is chosen, and the distribution it is chosen from.

import type { SamplingSpec } from "../../native/addon.js";
import { checkOptions, integer, number, positive } from "../options.js";

/** How tokens are sampled. Default: greedy. */
export interface SamplingOptions {
	/** Divides the logits; from 0, which takes the most likely token (ties: the lowest id). Default 0. */
	temperature?: number;
	/** Samples among the k most likely tokens; from 0, which is among all. Default 0. */
	topK?: number;
	/** Samples among the fewest tokens with this much probability, above 0; 1 among all. Default 1. */
	topP?: number;
}

/** A token that may come next. */
export interface TokenCandidate {
	/** Its id. */
	token: number;
	/** Its text; `#id` where the tokenizer has none. */
	text: string;
	/** From 0 to 1, before temperature and truncation. */
	probability: number;
	/** Natural logarithm of the probability. */
	logprob: number;
}

/**
 * Checks sampling options and fills in defaults.
 *
 * @throws {OctavoError} ERR_OCTAVO_OPTION naming the option
 */
export function checkSampling(options: unknown): SamplingSpec {
	return checkOptions("sampling", options, {
		temperature: number(0, null, 0),
		topK: integer(0, 2 ** 31 - 1, 0),
		topP: positive(1, 1),
	});
}

/** The k most likely tokens, most likely first; equal ones by id. */
export function topTokens(logits: Float32Array, k: number, name: (token: number) => string): TokenCandidate[] {
	const max = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
	const logSum = max + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - max), 0));
	const order = Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b);
	return order.slice(0, k).map((token) => {
		const logprob = logits[token]! - logSum;
		return { token, text: name(token), probability: Math.exp(logprob), logprob };
	});
}
