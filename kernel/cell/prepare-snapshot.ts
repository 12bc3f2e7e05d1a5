// Makes the worker's snapshot ahead of the first kernel. A worker is started only to learn what a snapshot is made of, so
// that both ways of making one go by the same list.

import type { SnapshotParts } from "./protocol.js";
import { SnapshotFile } from "./snapshot-file.js";
import { workerFlags } from "./worker-env.js";
import { WorkerProcess } from "./worker-process.js";

/** Longest wait for the worker's list, in milliseconds. */
const partsMs = 60_000;

/** What came of it: `there` already, `made`, or `none`, since it is not wanted or could not be made. */
export type Prepared = "there" | "made" | "none";

/**
 * Makes the snapshot unless it is there.
 *
 * @param stage told what is done next
 * @returns what came of it; never rejects
 */
export async function prepareSnapshot(stage: (what: string) => void): Promise<Prepared> {
	try {
		const snapshot = new SnapshotFile(workerFlags);
		if (snapshot.startFlags.length > 0) return "there";
		if (process.env.OCTAVO_SNAPSHOT === "0") return "none";
		stage("reading the libraries");
		const parts = await askParts();
		if (!parts) return "none";
		stage("writing the snapshot");
		await snapshot.make(parts);
		return snapshot.startFlags.length > 0 ? "made" : "none";
	} catch {
		// An installation without a snapshot only starts more slowly.
		return "none";
	}
}

async function askParts(): Promise<SnapshotParts | undefined> {
	const worker = new WorkerProcess();
	let timer: NodeJS.Timeout | undefined;
	try {
		return await new Promise<SnapshotParts | undefined>((resolve) => {
			timer = setTimeout(() => resolve(undefined), partsMs);
			worker.listener = {
				stream() {},
				nativeText() {},
				display() {},
				debug() {},
				died: () => resolve(undefined),
				event: (event) => {
					if (event.type === "ready") resolve(event.snapshot);
				},
			};
		});
	} finally {
		clearTimeout(timer);
		await worker.stop();
	}
}
