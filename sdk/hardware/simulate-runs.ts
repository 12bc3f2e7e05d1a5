// A table of runs in, a table of predictions out: what `octavo simulate` does, free of files.

import { OctavoError, received } from "../errors.js";
import { peakMemory } from "./memory.js";
import { publishedSchedule } from "./predict.js";
import type { Profile } from "./profile.js";
import { profileByName, runProfileNames } from "./profiles/index.js";
import { parseRuns, type Run } from "./runs.js";
import { simulate } from "./simulate.js";

/** Columns of the output. Times in milliseconds, memory in GiB: the device of one rank, the host of one node. */
export const predictionColumns = [
	"id",
	"pred_fwd_ms",
	"pred_bwd_ms",
	"pred_update_ms",
	"pred_iter_ms",
	"pred_device_gib",
	"pred_host_gib",
] as const;

/**
 * Predicts every run of a CSV text. The code that ran is the one its `code_variant` names, faults included.
 *
 * @param profileName a built-in profile for all rows, or `auto`: each row's own, by its column `profile`
 * @returns CSV text with the columns `predictionColumns`, one row a run in the order of the input
 * @throws {OctavoError} ERR_OCTAVO_RUNS naming column and line; ERR_OCTAVO_PROFILE for an unknown name
 */
export function simulateRuns(text: string, profileName: string): string {
	const fixed = profileName === "auto" ? undefined : profileByName(profileName);
	const rows = parseRuns(text).map((run) => {
		const simulation = simulate(publishedSchedule(run), fixed ?? profileOf(run));
		const { forwardUs, backwardUs, updateUs, iterationUs } = simulation;
		const times = [forwardUs, backwardUs, updateUs, iterationUs].map((us) => (us / 1e3).toFixed(3));
		const { deviceBytes, hostBytes } = peakMemory(simulation);
		const memory = [deviceBytes, hostBytes].map((bytes) => (bytes / 2 ** 30).toFixed(3));
		return [/[",\n]/.test(run.id) ? `"${run.id.replaceAll('"', '""')}"` : run.id, ...times, ...memory].join(",");
	});
	return `${[predictionColumns.join(","), ...rows].join("\n")}\n`;
}

function profileOf(run: Run): Profile {
	const name = runProfileNames[run.profile];
	if (name !== undefined) return profileByName(name);
	const names = Object.keys(runProfileNames).join(", ");
	const message = `Expected one of ${names} for profile of run ${run.id} (line ${run.line}) but received ${received(run.profile)}`;
	throw new OctavoError("ERR_OCTAVO_RUNS", message);
}
