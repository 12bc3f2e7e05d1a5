// The policies that the experiments compare, by the names that tables and legends show. The random control is among them
// always: a policy that does not beat it has shown nothing.

import * as policies from "../../decode/policies/index.js";
import type { Policy } from "../../decode/policies/policy.js";

/** A policy under comparison. */
export interface Contender {
	/** Name in tables and legends. */
	readonly name: string;
	/** Makes it for a budget; `seed` is the prompt's, for policies that draw. */
	policy(budget: number, seed: number): Policy;
}

/** Name of the control that evicts by chance. */
export const randomControl = "random";

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

/** What becomes of the slots of tokens that leave one by one in decode, beside whole blocks and a cache that grows. */
export const layouts: readonly Contender[] = [
	{ name: "full", policy: () => policies.full() },
	{ name: "snap-kv", policy: (budget) => policies.snapKv({ budget }) },
	{ name: "paged-eviction", policy: (budget) => policies.pagedEviction({ budget }) },
	...(["mask", "compact", "recycle"] as const).map((holes) => ({
		name: `key-diff by token, ${holes}`,
		policy: (budget: number) => policies.keyDiff({ budget, granularity: "token", holes }),
	})),
];
