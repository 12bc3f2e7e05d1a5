// Two options that evicting policies share: whose scores decide, and whether a prompt attends to what is cut. Defaults are
// left out of a policy's value, which so reads as it was written.

import type { PolicySpec } from "../../../native/addon.js";
import { OctavoError, received } from "../../errors.js";
import { type Check, oneOf } from "../../options.js";
import type { Budget } from "./budget.js";

/**
 * Whose scores decide. `per-layer`: each layer chooses for itself. Shared: all layers drop the same place, by the scores of
 * layer 0, by the mean of the layers' scores, or by the mean of their ranks, which no layer's scale sways.
 */
export type Scope = "per-layer" | { readonly shared: NonNullable<PolicySpec["shared"]> };

/** The option of every policy that evicts. */
export interface ScopeOptions {
	/** Whose scores decide. Default `per-layer`. */
	scope?: Scope;
}

/** The option of policies whose scores need no attention. */
export interface PrefillAttentionOptions {
	/**
	 * `full`: a prompt attends to all of itself and is cut then. `evicted`: it is cut first, and every token attends to what
	 * stays of those up to it; not with a scope shared by a mean. Default `full`.
	 */
	prefillAttention?: "full" | "evicted";
}

const sharedBy = oneOf(["layer-0", "mean-score", "mean-rank"], "layer-0");

/** The check of `scope`: the reduction, undefined for `per-layer`. */
export const scope: Check<PolicySpec["shared"]> = (value, name) => {
	if (value === undefined || value === "per-layer") return undefined;
	const { shared, ...others } = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
	if (shared === undefined || Object.keys(others).length > 0) {
		const expected = `"per-layer" or { shared: "layer-0" | "mean-score" | "mean-rank" }`;
		throw new OctavoError("ERR_OCTAVO_OPTION", `Expected ${expected} for ${name} but received ${received(value)}`);
	}
	return sharedBy(shared, `${name}.shared`);
};

/** The check of `prefillAttention`; undefined for `full`. */
export const prefillAttention: Check<"evicted" | undefined> = (value, name) =>
	oneOf(["full", "evicted"], "full")(value, name) === "evicted" ? "evicted" : undefined;

/** The check of `prefillAttention` for policies whose scores are made of the prompt's attention. */
export const fullPrefillAttention: Check<undefined> = (value, name) => {
	if (prefillAttention(value, name) === undefined) return undefined;
	const expected = `"full" for ${name}, as the policy scores a prompt by its attention,`;
	throw new OctavoError("ERR_OCTAVO_OPTION", `Expected ${expected} but received "evicted"`);
};

/**
 * Puts the reduction in the place of the option, and checks what the options ask for together.
 *
 * @throws {OctavoError} ERR_OCTAVO_OPTION for a prompt cut before its attention by a mean over layers; ERR_OCTAVO_BUDGET
 * for budgets by layer where layers share decisions
 */
export function withScope<
	T extends { budget: Budget; scope: PolicySpec["shared"]; prefillAttention: "evicted" | undefined },
>(checked: T): Omit<T, "scope"> & { shared: PolicySpec["shared"] } {
	const { scope: shared, ...others } = checked;
	if (shared && typeof checked.budget !== "number") {
		const expected = `one number for budget with scope { shared: "${shared}" }, as all layers drop the same,`;
		throw new OctavoError("ERR_OCTAVO_BUDGET", `Expected ${expected} but received one for each of several layers`);
	}
	if (checked.prefillAttention && shared && shared !== "layer-0") {
		const expected = `"per-layer" or { shared: "layer-0" } for scope where prefillAttention is "evicted"`;
		throw new OctavoError(
			"ERR_OCTAVO_OPTION",
			`Expected ${expected}, as layers beyond the first have no scores before it attends, but received { shared: "${shared}" }`,
		);
	}
	return { ...others, shared };
}
