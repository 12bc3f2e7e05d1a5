// The policies that the experiments compare, by the names that tables and legends show. The random control is among them
// always: a policy that does not beat it has shown nothing.

import * as policies from "../../decode/policies/index.js";
import type { Policy } from "../../decode/policies/policy.js";
import { OctavoError } from "../../errors.js";
import type { RecallPrompt } from "../../model/tasks/index.js";

/** A policy under comparison. */
export interface Contender {
	/** Name in tables and legends. */
	readonly name: string;
	/** Makes it for a budget; `seed` is the prompt's, for policies that draw, and the prompt is for those that cheat. */
	policy(budget: number, seed: number, prompt: RecallPrompt): Policy;
}

/** Name of the control that evicts by chance. */
export const randomControl = "random";

/** Evicts nothing: what every policy is measured beside. */
export const fullCache: Contender = { name: "full", policy: () => policies.full() };

/** Every policy that evicts, as by default: prompts token by token, decode block by block. */
export const contenders: readonly Contender[] = [
	{ name: "paged-eviction", policy: (budget) => policies.pagedEviction({ budget }) },
	{ name: "streaming-llm", policy: (budget) => policies.streamingLlm({ budget }) },
	{ name: "inverse-key-norm", policy: (budget) => policies.inverseKeyNorm({ budget }) },
	{ name: "key-diff", policy: (budget) => policies.keyDiff({ budget }) },
	{ name: "h2o", policy: (budget) => policies.h2o({ budget }) },
	{ name: "snap-kv", policy: (budget) => policies.snapKv({ budget }) },
	{ name: "tova", policy: (budget) => policies.tova({ budget }) },
	{ name: randomControl, policy: (budget, seed) => policies.random({ budget, seed }) },
];

/**
 * Knows what will be asked: keeps the records that the questions name, each with the token after it, and then what is
 * recent. No policy can know that; it says what a budget would be enough for. Without the token after a record recall-tiny
 * finds its first value and loses the second: that is where it looks for it.
 */
export const oracle: Contender = {
	name: "oracle",
	policy(budget, _, { records, queries }) {
		const starts = queries.map(({ recordIndex }) => records[recordIndex]!.position);
		const needed = new Set(starts.flatMap((start) => [0, 1, 2, 3, 4].map((offset) => start + offset)));
		return policies.custom({
			budget,
			granularity: "token",
			needs: ["positions"],
			score: ({ positions }) => Float32Array.from(positions, (position) => position + (needed.has(position) ? 1e6 : 0)),
		});
	},
};

/** What becomes of the slots of tokens that leave one by one in decode, beside whole blocks and a cache that grows. */
export const layouts: readonly Contender[] = [
	fullCache,
	{ name: "snap-kv", policy: (budget) => policies.snapKv({ budget }) },
	{ name: "paged-eviction", policy: (budget) => policies.pagedEviction({ budget }) },
	...(["mask", "compact", "recycle"] as const).map((holes) => ({
		name: `key-diff by token, ${holes}`,
		policy: (budget: number) => policies.keyDiff({ budget, granularity: "token", holes }),
	})),
];

/**
 * The full cache, then the others.
 *
 * @throws {OctavoError} ERR_OCTAVO_OPTION for another contender with its name, as their points would be taken together
 */
export function besideFull(others: readonly Contender[]): readonly Contender[] {
	const evicting = others.filter((contender) => contender !== fullCache);
	if (evicting.every(({ name }) => name !== fullCache.name)) return [fullCache, ...evicting];
	const expected = `contenders beside the one named "${fullCache.name}" for policies`;
	throw new OctavoError("ERR_OCTAVO_OPTION", `Expected ${expected} but received another of that name`);
}
