// What an eviction policy is to the SDK: a name and checked options, a plain value that can be compared and printed.

import type { PolicySpec } from "../../../native/addon.js";

/** An eviction policy, made by one of the functions in `policies`. */
export type Policy = Readonly<PolicySpec>;

/** Freezes a policy and leaves out options that were not given. */
export function makePolicy(spec: { [K in keyof PolicySpec]: PolicySpec[K] | undefined }): Policy {
	const given = Object.entries(spec).filter(([, value]) => value !== undefined);
	return Object.freeze(Object.fromEntries(given)) as unknown as Policy;
}
