// Full attention: nothing is evicted. The reference for every other policy.

import { checkOptions } from "../../options.js";
import { makePolicy, type Policy } from "./policy.js";

/** Keeps every token. */
export function full(options?: Record<string, never>): Policy {
	checkOptions("policies.full", options, {});
	return makePolicy({ name: "full" });
}
