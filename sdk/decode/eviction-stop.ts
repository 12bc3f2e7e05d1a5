// An eviction that a session has stopped before, with what can still be done about it. The decision is handed to the
// engine when the session goes on.

import type { DecisionSpec, EvictEvent, NativeSession } from "../../native/addon.js";
import { native, OctavoError, received } from "../errors.js";

/** An eviction about to happen; the policy's choice stands unless one of the methods is called. */
export interface EvictionStop extends EvictEvent {
	/**
	 * Keeps the block: the cache grows by one, and is cut back to its budget at the next block that fills. Where layers share
	 * decisions it holds for all of them, and only layer 0's stop takes it.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_BREAKPOINT once the session has gone on; ERR_OCTAVO_ARGUMENT for a prompt's tokens, or in
	 * a layer beyond the first under a shared scope
	 */
	veto(): void;
	/**
	 * Evicts another block, in every layer under a shared scope.
	 *
	 * @param logicalIndex its place in the block table; any but the newest, also one that the policy protects
	 * @throws {OctavoError} ERR_OCTAVO_ARGUMENT for another place, a prompt's tokens, or a layer beyond the first under a shared scope; ERR_OCTAVO_BREAKPOINT once the
	 * session has gone on
	 */
	replaceWith(logicalIndex: number): void;
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
		if (event.granularity === "block") return;
		throw new OctavoError(
			"ERR_OCTAVO_ARGUMENT",
			`Expected the eviction of a block for ${what} but received one of a prompt's tokens`,
		);
	};
	const stop: EvictionStop = {
		...event,
		veto() {
			require("veto");
			holder.decision = { veto: true };
		},
		replaceWith(logicalIndex) {
			require("replaceWith");
			const last = native(() => session.layerState(event.layer)).blockIds.length - 2;
			if (!Number.isInteger(logicalIndex) || logicalIndex < 0 || logicalIndex > last) {
				throw new OctavoError(
					"ERR_OCTAVO_ARGUMENT",
					`Expected a logical block index from 0 to ${last} (the newest block must stay) but received ${received(logicalIndex)}`,
				);
			}
			holder.decision = { replaceWith: logicalIndex };
		},
	};
	return stop;
}
