// What the charts of a training iteration share: the rows of its trace, colours of tasks, and the caption's line on what
// was run, where. Times are drawn in seconds, memory in GB.

import { received } from "../errors.js";
import type { IterationTableName } from "../trace/iteration-schema.js";
import type { IterationTrace } from "../trace/iteration-trace.js";
import { fail } from "./options.js";

/** Colour of a group of tasks. */
export const taskGroups = {
	"forward, backward": { color: "#8C8C8C", kinds: ["forward", "backward", "launch"] },
	"gather, reduce": { color: "#BDBDBD", kinds: ["gather", "reduce", "accumulate", "norm", "keep-gradient"] },
	"gradient flush": {
		color: "#CC79A7",
		kinds: ["gradient-flush", "pageable-flush", "fetch-gradient", "store-gradient"],
	},
	"host update": { color: "#E69F00", kinds: ["host-update", "fused-update", "unscale"] },
	"device update": { color: "#0072B2", kinds: ["device-update", "upcast", "cast"] },
	prefetch: { color: "#009E73", kinds: ["prefetch"] },
	"write-back": { color: "#D55E00", kinds: ["write-back"] },
	"parameters up": { color: "#56B4E9", kinds: ["upload", "pageable-upload", "downscale"] },
} as const satisfies Record<string, { color: string; kinds: readonly string[] }>;

/** Name of the group of a kind of task; undefined for tasks that do no work. */
export function groupOf(kind: string): keyof typeof taskGroups | undefined {
	const names = Object.keys(taskGroups) as (keyof typeof taskGroups)[];
	return names.find((name) => (taskGroups[name].kinds as readonly string[]).includes(kind));
}

/** Resources in the order in which they are drawn, and what they are. */
export const resourceNames = {
	device: "device",
	h2d: "host → device",
	d2h: "device → host",
	host: "host",
	collective: "collectives",
	"host-memory": "host memory",
} as const;

/** A resource in words; its own name where it is none of ours. */
export function resourceName(resource: string): string {
	return (resourceNames as Readonly<Record<string, string>>)[resource] ?? resource;
}

/** Microseconds to seconds. */
export function seconds(us: number): number {
	return us / 1e6;
}

/** Numbers of a column. */
export function numbersOf(trace: IterationTrace, table: IterationTableName, column: string): number[] {
	return trace.columns(table)[column] as number[];
}

/** Strings of a column. */
export function textsOf(trace: IterationTrace, table: IterationTableName, column: string): string[] {
	return trace.columns(table)[column] as string[];
}

/** Refuses a trace without rows. @throws {OctavoError} ERR_OCTAVO_CHART */
export function checkRows(trace: IterationTrace, table: IterationTableName): void {
	if (typeof trace?.table !== "function") fail("a trace of an iteration, such as iteration.trace,", received(trace));
	if (trace.table(table).numRows === 0) fail(`a trace with rows in its table ${table}`, "an empty one");
}

/** What was run, where, and whether it was simulated: ends every caption. */
export function describeIteration(...traces: readonly IterationTrace[]): string {
	const places = new Map<string, string[]>();
	for (const { metadata } of traces) {
		const { planner, profile, hardware, origin } = metadata;
		const how = origin === "simulated" ? `Simulated on profile ${profile} (${hardware})` : `Measured on ${hardware}`;
		places.set(how, [...(places.get(how) ?? []), planner]);
	}
	const parts = Array.from(
		places,
		([how, planners]) =>
			`${how}, one rank, ${planners.length === 1 ? "schedule" : "schedules"} ${planners.join(", ")}.`,
	);
	return parts.join(" ");
}
