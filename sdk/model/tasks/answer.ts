// Asks a session a question of a prompt, greedily. It takes anything that can be fed and says what comes next, so that
// sessions, forks and stand-ins in tests are alike.

import type { RecallQuery } from "./context.js";

/** What is asked: a session after its prompt. */
export interface Answerer {
	/** Takes tokens in place of sampled ones. */
	feedSync(tokens: Int32Array | readonly number[]): unknown;
	/** The likeliest next tokens. */
	topTokens(count: number): readonly { readonly token: number }[];
}

/** An answer, and whether it is right. */
export interface Answer {
	/** The two likeliest tokens, the second after the right first one. */
	tokens: [number, number];
	/** Both are right. */
	correct: boolean;
}

/**
 * Feeds the question, reads two greedy predictions, and feeds the right answer, so that a mistake does not mislead later
 * questions.
 */
export function answer(session: Answerer, query: RecallQuery): Answer {
	const predict = (): number => session.topTokens(1)[0]!.token;
	session.feedSync(query.tokens);
	const first = predict();
	session.feedSync([query.answer[0]]);
	const second = predict();
	session.feedSync([query.answer[1]]);
	return { tokens: [first, second], correct: first === query.answer[0] && second === query.answer[1] };
}
