// What a worker finds that was started from a snapshot, which snapshot-file.ts has had made: the compiler loaded and its
// libraries parsed, which saves most of a worker's start.

import type TypeScript from "typescript";

/** What a process that was started from a snapshot finds. */
export interface Snapshot {
	typescript: typeof TypeScript;
	/** A copy of its exports. */
	copy: Record<string, unknown>;
	/** Parsed and bound libraries by file name. */
	sources: Map<string, TypeScript.SourceFile>;
	Console: Console["Console"];
}

/** Takes the snapshot that this process was started from. */
export function takeSnapshot(): Snapshot | undefined {
	const holder = globalThis as { octavoSnapshot?: Snapshot };
	const snapshot = holder.octavoSnapshot;
	delete holder.octavoSnapshot;
	// Which such a process begins without.
	if (snapshot) console.Console ??= snapshot.Console;
	return snapshot;
}
