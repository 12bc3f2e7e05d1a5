// A timer for what may arrive in the meantime. A process that was held up, as on a busy machine, finds its timers due and what
// has arrived unread at once, and runs the timers first: this one lets the event loop read once more before it gives up.

/**
 * Calls back after some milliseconds, behind what has arrived until then.
 *
 * @param milliseconds least time
 * @returns cancels the call
 */
export function lateTimer(milliseconds: number, call: () => void): () => void {
	let immediate: NodeJS.Immediate | undefined;
	const timer = setTimeout(() => {
		immediate = setImmediate(call);
	}, milliseconds);
	return () => {
		clearTimeout(timer);
		clearImmediate(immediate);
	};
}
