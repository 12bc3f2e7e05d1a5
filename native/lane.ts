// The one typed contract between the kernel and octavo_lane.node: files in memory that two processes map, and what malloc
// keeps. A module apart from the engine's, which a kernel that only waits need not load. Where it is missing, as on
// systems other than Linux, the kernel passes buffers more slowly.

import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

declare const mapped: unique symbol;

/** A lane's memory in this process; let go of by `unmap`, or by the garbage collector. */
export interface LaneMap {
	readonly [mapped]: true;
}

/** What `octavo_lane.node` exports. Calls throw an Error with code ERR_OCTAVO_LANE for what is no lane, or no memory. */
export interface LaneAddon {
	/** Makes a file in memory of this many bytes that can grow but never shrink; gives its descriptor. */
	open(sizeBytes: number): number;
	/** Maps all of a file that {@link open} made, in this process or another. */
	map(descriptor: number): LaneMap;
	/** Copies bytes to a position; false, and nothing done, where the mapped memory ends before. */
	put(map: LaneMap, position: number, bytes: Uint8Array): boolean;
	/** Fills an array with the bytes from a position on; false, and nothing done, where the mapped memory ends before. */
	get(map: LaneMap, position: number, into: Uint8Array): boolean;
	/** Ends a mapping; from then on it holds no bytes. */
	unmap(map: LaneMap): void;
	/** Gives the file's memory from a position on back to the system; it reads as zeros then. */
	freePages(descriptor: number, from: number): void;
	/** Whether malloc keeps freed memory of up to 1 GiB for what comes next, instead of giving it back at once. */
	keepFreed(keeps: boolean): void;
	/** Gives freed memory that malloc has kept back to the system. */
	trim(): void;
}

const path = fileURLToPath(new URL("../../native/build/octavo_lane.node", import.meta.url));

let addon: LaneAddon | null | undefined;

/** The module, loaded once; undefined where it has not been built or does not load. */
export function loadLaneAddon(): LaneAddon | undefined {
	if (addon === undefined) {
		try {
			addon = createRequire(import.meta.url)(path) as LaneAddon;
		} catch {
			addon = null;
		}
	}
	return addon ?? undefined;
}
