// An eviction that a session has stopped before, with what can still be done about it. The decision is handed to the
// engine when the session goes on.

import type { DecisionSpec, EvictEvent, NativeSession } from "../../native/addon.js";
import { native, OctavoError, received } from "../errors.js";

/** An eviction about to happen; the policy's choice stands unless one of the methods is called. */
export interface EvictionStop extends EvictEvent {
	/**
	 * Keeps everything: the cache grows by a block, and is cut back to its budget at the next block that fills; or by a
	 * token, for all KV heads, and is cut back in the next step. Where layers share decisions it holds for all of them, and
	 * only layer 0's stop takes it.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_BREAKPOINT once the session has gone on; ERR_OCTAVO_ARGUMENT for a prompt's tokens, or in
	 * a layer beyond the first under a shared scope
	 */
	veto(): void;
	/**
	 * Evicts another block or token, in every layer under a shared scope.
	 *
	 * @param chosen of a block: its place in the block table; of a token: its RoPE position, and it goes alone. Any but the
	 * newest, also one that the policy protects
	 * @throws {OctavoError} ERR_OCTAVO_ARGUMENT for another place, a position that is not cached, a prompt's tokens, or a
	 * layer beyond the first under a shared scope; ERR_OCTAVO_BREAKPOINT once the session has gone on
	 */
	replaceWith(chosen: number): void;
}

/** Where a decision waits for the session to go on. */
export interface DecisionHolder {
	stoppedAt: unknown;
	decision: DecisionSpec | undefined;
}

/** Adds the methods to an event of the engine. */
export function eviction(event: EvictEvent, session: NativeSession, holder: DecisionHolder): EvictionStop {
	const require = (what: string) => {
		if (holder.stoppedAt !== stop) {
			const expected = `a session that stands before this eviction (step ${event.stepIndex}, layer ${event.layer})`;
			throw new OctavoError("ERR_OCTAVO_BREAKPOINT", `Expected ${expected} for ${what} but it has gone on`);
		}
		if (event.shared && event.layer > 0) {
			const expected = `the stop of layer 0 for ${what}, as all layers share its decision,`;
			throw new OctavoError("ERR_OCTAVO_ARGUMENT", `Expected ${expected} but received that of layer ${event.layer}`);
		}
		if (event.phase === "decode") return;
		throw new OctavoError(
			"ERR_OCTAVO_ARGUMENT",
			`Expected an eviction in decode for ${what} but received one of a prompt's tokens`,
		);
	};
	const stop: EvictionStop = {
		...event,
		veto() {
			require("veto");
			holder.decision = { veto: true };
		},
		replaceWith(chosen) {
			require("replaceWith");
			if (event.granularity === "block") requireBlock(session, event.layer, chosen);
			else requirePosition(session, event, chosen);
			holder.decision = { replaceWith: chosen };
		},
	};
	return stop;
}

function requireBlock(session: NativeSession, layer: number, chosen: number): void {
	const last = native(() => session.layerState(layer)).blockIds.length - 2;
	if (Number.isInteger(chosen) && chosen >= 0 && chosen <= last) return;
	throw new OctavoError(
		"ERR_OCTAVO_ARGUMENT",
		`Expected a logical block index from 0 to ${last} (the newest block must stay) but received ${received(chosen)}`,
	);
}

// The newest token's position is the number of tokens seen before this step.
function requirePosition(session: NativeSession, event: EvictEvent, chosen: number): void {
	const { layer, kvHead } = event;
	const { positions } = native(() => session.layerCache(layer));
	const { blockIds, filled, deadSlots } = native(() => session.layerState(layer));
	const all = new Int32Array(positions.buffer);
	const blockSize = positions.shape.at(-1)!;
	const numRows = positions.shape.length === 3 ? positions.shape[1]! : 1;
	const dead = new Set(deadSlots);
	const isCached = blockIds.some((blockId, index) =>
		all
			.subarray((blockId * numRows + (kvHead ?? 0)) * blockSize)
			.subarray(0, filled[index])
			.some((position, slot) => position === chosen && !dead.has(index * blockSize + slot)),
	);
	const newest = native(() => session.numTokens);
	if (isCached && chosen < newest) return;
	const where = `layer ${layer}${kvHead === undefined ? "" : `, KV head ${kvHead}`}`;
	throw new OctavoError(
		"ERR_OCTAVO_ARGUMENT",
		`Expected the position of a cached token of ${where} below the newest (${newest}) but received ${received(chosen)}`,
	);
}
