// Asks a model the queries of recall prompts and counts exact answers.

import type { SessionOptions } from "../../sdk/decode/options.js";
import type { Model } from "../../sdk/load-model.js";
import { type RecallOptions, recall } from "../../sdk/model/tasks/recall.js";

/** Queries asked, and answered with both tokens right. */
export interface RecallScore {
	numQueries: number;
	numCorrect: number;
}

/** Prefills each prompt's context, then asks its queries one after another, each with the right answer fed after it. */
export function measureRecall(
	model: Model,
	options: SessionOptions,
	prompts: RecallOptions & { numPrompts: number },
): RecallScore {
	const { numPrompts, ...rest } = prompts;
	const score = { numQueries: 0, numCorrect: 0 };
	for (let seed = 0; seed < numPrompts; seed++) {
		const { context, queries } = recall({ ...rest, seed });
		const session = model.session({ recordBlocks: false, ...options });
		session.prefillSync(context);
		for (const { tokens, answer } of queries) {
			session.feedSync(tokens);
			const first = session.topTokens(1)[0]!.token;
			session.feedSync([answer[0]]);
			const second = session.topTokens(1)[0]!.token;
			session.feedSync([answer[1]]);
			score.numQueries++;
			if (first === answer[0] && second === answer[1]) score.numCorrect++;
		}
		session.close();
	}
	return score;
}
