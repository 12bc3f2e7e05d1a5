// A policy written in a cell. The function is kept beside the policy and not in it: a policy is a plain value that goes
// into the record of a run.

import { types } from "node:util";
import type { PolicySpec } from "../../../native/addon.js";
import { OctavoError, received } from "../../errors.js";
import { type Check, checkOptions, oneOf } from "../../options.js";
import type { ScoredBlock, ScoredTokens } from "../scored-view.js";
import { type BudgetOptions, checkBudget } from "./budget.js";
import { makePolicy, type Policy } from "./policy.js";
import { type PrefillAttentionOptions, prefillAttention, type ScopeOptions, scope, withScope } from "./scope.js";
import { checkTokenForm, type TokenFormOptions, tokenFormChecks } from "./token-form.js";

/** Scores a block, in single precision; higher is kept. Its tensors are views of the engine's memory: read them, do not keep them. */
export type ScoreBlock = (block: ScoredBlock) => number;

/** Scores all live tokens of a layer: a number for each, in the order of `positions`; higher is kept. */
export type ScoreTokens = (tokens: ScoredTokens) => ArrayLike<number>;

/**
 * What a score is made of, of which only what a policy names is measured: `norms` of keys and values, `attentionMass`
 * (probabilities summed over all queries so far, averaged over query heads; summed up in every step), `lastQuery` (the
 * newest query of the layer), and the `keys` and `values` of tokens. Positions, and the keys and values of blocks, are
 * always there.
 */
export type Need = NonNullable<PolicySpec["needs"]>[number] | "keys" | "values" | "positions";

/** Options of `policies.custom` that both forms share. */
export interface CustomCommonOptions extends BudgetOptions, ScopeOptions {
	/** What the function reads. Default: keys, values and positions. */
	needs?: readonly Need[];
}

/** Options of `policies.custom` that scores blocks. */
export interface CustomBlockOptions extends CustomCommonOptions {
	/** What is scored and evicted. Default `block`. */
	granularity?: "block";
	/** Called for each block that may go, when the newest block of a layer is full over budget. */
	score: ScoreBlock;
}

/** Options of `policies.custom` that scores tokens. */
export interface CustomTokenOptions
	extends CustomCommonOptions,
		PrefillAttentionOptions,
		Pick<TokenFormOptions, "holes"> {
	/** What is scored and evicted: tokens, also of a prompt over budget. */
	granularity: "token";
	/** Called once for each layer that is over budget, for all its tokens. */
	score: ScoreTokens;
}

/** Options of `policies.custom`. */
export type CustomOptions = CustomBlockOptions | CustomTokenOptions;

/** The function of a custom policy. */
export interface CustomScore {
	granularity: "block" | "token";
	needs: readonly Need[];
	score: ScoreBlock | ScoreTokens;
	/** Stack frame of the call that made the policy, for errors that the function's result is to blame for. */
	madeAt: string;
}

const scorers = new WeakMap<Policy, CustomScore>();
const measured = ["norms", "attentionMass", "lastQuery"] as const;
const allNeeds: readonly string[] = ["keys", "values", "positions", ...measured];

const needsCheck: Check<readonly Need[]> = (value, name) => {
	if (value === undefined) return ["keys", "values", "positions"];
	if (Array.isArray(value) && value.every((need) => allNeeds.includes(need))) return value;
	const wrong = Array.isArray(value) ? value.find((need) => !allNeeds.includes(need)) : value;
	const expected = `a list of ${allNeeds.map((need) => JSON.stringify(need)).join(", ")}`;
	throw new OctavoError("ERR_OCTAVO_OPTION", `Expected ${expected} for ${name} but received ${received(wrong)}`);
};

const scoreCheck: Check<ScoreBlock | ScoreTokens> = (value) => {
	if (typeof value === "function" && !types.isAsyncFunction(value)) return value as ScoreBlock | ScoreTokens;
	const what = typeof value === "function" ? "an async function: the engine waits for its scores" : received(value);
	throw new OctavoError(
		"ERR_OCTAVO_OPTION",
		`Expected a plain function for score of policies.custom but received ${what}`,
	);
};

/**
 * Evicts what a function of yours gives the lowest scores, the older of equal ones. With blocks: the lowest-scoring block
 * once the newest of a layer is full over budget; a prompt is kept whole until decode first fills a block, and cut back
 * to the budget then. With tokens: the lowest-scoring tokens of a prompt beyond the budget, and in decode a token a step.
 * The first block and the newest block or token are never evicted. An exception of the function, or NaN from it, comes
 * out of the call that advanced the session, with the line of the cell; the session stands before the scoring and can go
 * on: the next step asks the function again.
 *
 * @throws {OctavoError} ERR_OCTAVO_BUDGET for a budget that is no positive whole number; a session checks the rest
 * @throws {OctavoError} ERR_OCTAVO_OPTION for an unknown option, or a score that is no function or an async one
 *
 * @example
 * ```ts
 * import { loadModel, policies, tasks } from "octavo";
 * const model = await loadModel();
 * // Keeps the blocks with the largest values.
 * const policy = policies.custom({
 *   budget: 32,
 *   score: (block) => block.values.toFloat32().reduce((sum, value) => sum + Math.abs(value), 0),
 * });
 * using session = model.session({ blockSize: 8, policy, seed: 7 });
 * await session.prefill(tasks.recall({ seed: 1 }).context);
 * await session.run({ maxTokens: 64 });
 * console.log(session.layer(0).kvLen < 40);   // true
 * ```
 */
export function custom(options: CustomBlockOptions): Policy;
export function custom(options: CustomTokenOptions): Policy;
export function custom(options: CustomOptions): Policy {
	const { granularity, needs, score, ...checked } = checkOptions("policies.custom", options, {
		budget: checkBudget,
		granularity: oneOf(["block", "token"], "block"),
		needs: needsCheck,
		score: scoreCheck,
		holes: tokenFormChecks.holes,
		scope,
		prefillAttention,
	});
	if (granularity === "block" && checked.prefillAttention) {
		const expected = `"full" for prefillAttention of policies.custom where blocks are scored, as it keeps a prompt whole,`;
		throw new OctavoError("ERR_OCTAVO_OPTION", `Expected ${expected} but received "evicted"`);
	}
	const asked = measured.filter((need) => needs.includes(need));
	if (checked.prefillAttention && asked.includes("attentionMass")) {
		const expected = `"full" for prefillAttention of policies.custom, whose needs name attentionMass,`;
		throw new OctavoError("ERR_OCTAVO_OPTION", `Expected ${expected} but received "evicted"`);
	}
	const placed = withScope(checked);
	checkTokenForm("policies.custom", { ...placed, granularity });
	if (granularity === "token" && placed.shared && placed.shared !== "layer-0") {
		const expected = `"block" with scope { shared: "${placed.shared}" } for granularity of policies.custom, as a function scores one layer's tokens at a time,`;
		throw new OctavoError("ERR_OCTAVO_OPTION", `Expected ${expected} but received "token"`);
	}
	const policy = makePolicy({
		name: "custom",
		...placed,
		granularity: granularity === "token" ? granularity : undefined,
		needs: asked.length > 0 ? Object.freeze(asked) : undefined,
	});
	const place = new Error();
	Error.captureStackTrace(place, custom);
	const madeAt = /^\s+at .*$/m.exec(place.stack ?? "")?.[0] ?? "";
	scorers.set(policy, { granularity, needs, score, madeAt });
	return policy;
}

/**
 * The function of a custom policy; undefined for other policies.
 *
 * @throws {OctavoError} ERR_OCTAVO_OPTION for a copy of one, which has lost its function
 */
export function customScoreOf(policy: Policy): CustomScore | undefined {
	const score = scorers.get(policy);
	if (score || policy.name !== "custom") return score;
	throw new OctavoError(
		"ERR_OCTAVO_OPTION",
		"Expected a policy made by policies.custom for policy but received a copy",
	);
}
