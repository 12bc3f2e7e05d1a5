// Asks a model the queries of recall prompts and counts exact answers.

import type { SessionOptions } from "../../sdk/decode/options.js";
import type { Model } from "../../sdk/load-model.js";
import { answer, type RecallOptions, recall } from "../../sdk/model/tasks/index.js";

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
		for (const query of queries) {
			score.numQueries++;
			if (answer(session, query).correct) score.numCorrect++;
		}
		session.close();
	}
	return score;
}
