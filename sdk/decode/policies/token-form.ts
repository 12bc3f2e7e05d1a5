// How tokens leave one by one in decode: options that several policies share, and their checks.

import type { PolicySpec } from "../../../native/addon.js";
import { OctavoError } from "../../errors.js";
import { oneOf, optional } from "../../options.js";

/** What leaves at once in decode, and what becomes of its slot. */
export interface TokenFormOptions {
	/** A whole block each time a layer's newest is full over budget, or a token in each step over budget. Default `block`. */
	granularity?: "block" | "token";
	/**
	 * Only with tokens. `recycle`: the new token takes the freed slot, and blocks stay dense. `mask`: the slot stays as a hole,
	 * which attention leaves out, and a block is freed with its last token. `compact`: as `mask`, until the holes add up to
	 * a block; then the tokens of the sparsest block move into holes, and it is freed. Default `recycle`.
	 */
	holes?: "recycle" | "mask" | "compact";
}

/** Whether heads choose together. */
export interface HeadsOptions {
	/**
	 * `shared`: the KV heads of a layer keep the same tokens. `per-head`: each keeps its own, equally many, so that slot j
	 * of two heads may hold two tokens and blocks stay dense; a whole block still goes for all heads. Default `shared`.
	 */
	heads?: "shared" | "per-head";
}

/** Checks of `TokenFormOptions`. Left out where not given, so that a policy says no more than it was told. */
export const tokenFormChecks = {
	granularity: optional(oneOf(["block", "token"], "block")),
	holes: optional(oneOf(["recycle", "mask", "compact"], "recycle")),
};

/** Checks of `HeadsOptions`. */
export const headsChecks = { heads: optional(oneOf(["shared", "per-head"], "shared")) };

interface CheckedForm {
	granularity?: TokenFormOptions["granularity"] | undefined;
	holes?: TokenFormOptions["holes"] | undefined;
	heads?: HeadsOptions["heads"] | undefined;
	shared?: PolicySpec["shared"] | undefined;
	prefillAttention?: "evicted" | undefined;
	skipLayers?: readonly number[] | undefined;
	protectNewest?: boolean | undefined;
}

/**
 * Checks options against each other.
 *
 * @throws {OctavoError} ERR_OCTAVO_OPTION
 */
export function checkTokenForm(owner: string, checked: CheckedForm): void {
	const { granularity, holes, heads, shared, prefillAttention, skipLayers, protectNewest } = checked;
	const fail = (expected: string, option: string, value: string) => {
		throw new OctavoError("ERR_OCTAVO_OPTION", `Expected ${expected} for ${option} of ${owner} but received ${value}`);
	};
	if (holes && granularity !== "token") fail(`none, or granularity "token",`, "holes", `"${holes}"`);
	if (heads === "per-head" && holes && holes !== "recycle")
		fail(`"recycle" with heads "per-head"`, "holes", `"${holes}"`);
	if (heads === "per-head" && prefillAttention) fail(`"full" with heads "per-head"`, "prefillAttention", `"evicted"`);
	if (shared && skipLayers?.length) fail("none with a shared scope,", "skipLayers", `[${skipLayers.join(", ")}]`);
	// A mean over layers is one of what stands in the same places in all of them.
	if (!shared || shared === "layer-0") return;
	const scope = `scope { shared: "${shared}" }`;
	if (heads === "per-head") fail(`"shared" with ${scope}`, "heads", `"per-head"`);
	// Layers beyond the first do not have the newest token when it is decided.
	if (protectNewest === false) fail(`true with ${scope}`, "protectNewest", "false");
}
