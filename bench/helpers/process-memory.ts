// Memory that a kernel holds, with the processes that it has started.

import { readFileSync } from "node:fs";

/**
 * Memory of a process and of what it started; Linux only.
 *
 * @param field `Rss`: all that is resident, what processes share counted for each; `Pss`: that divided among them
 */
export function memoryMiB(pid: number, field: "Rss" | "Pss"): number {
	const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
	const own = Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(rollup)?.[1]) / 1024;
	const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean);
	return children.reduce((sum, child) => sum + memoryMiB(Number(child), field), own);
}
