// What a task of each kind may leave behind, given what it read. Copies copy, updates need the whole old state and the
// whole gradient: with this, a content's name cannot be claimed by a task that did not make it.

import type { Bucket } from "./buckets.js";
import { content, type Schedule, stateQuantities, type Task } from "./task.js";

/** The facts of a configuration that contents refer to. */
export interface ContentFacts {
	readonly buckets: readonly Bucket[];
	/** Number of parts of each subgroup's gradient. */
	readonly numParts: readonly number[];
	readonly lastMicroStep: number;
}

/** Collects those facts. */
export function contentFacts(schedule: Schedule, buckets: readonly Bucket[]): ContentFacts {
	const numParts = schedule.configuration.subgroupNumels.map(() => 0);
	for (const { parts } of buckets) for (const { subgroup } of parts) numParts[subgroup]!++;
	return { buckets, numParts, lastMicroStep: schedule.configuration.gradientAccumulation - 1 };
}

function gradientOf({ numParts }: ContentFacts, subgroup: number, version: "sum" | "unscaled"): string[] {
	return Array.from({ length: numParts[subgroup] ?? 0 }, (_, part) => content("gradient", subgroup, version, part));
}

/** What must be read to write a content with a task of this kind; undefined when that kind cannot write it at all. */
function needed(task: Task, written: string, facts: ContentFacts, read: ReadonlySet<string>): string[] | undefined {
	const [what = "", which = "", version = ""] = written.split(":");
	const subgroup = Number(which.split(".")[0]);
	switch (task.kind) {
		case "prefetch":
		case "write-back":
		case "upload":
		case "fetch-gradient":
		case "store-gradient":
			return [written];
		case "unscale":
			return what === "gradient" && version === "unscaled" ? [written.replace(/unscaled$/, "sum")] : undefined;
		case "upcast":
			return written === content("gradient", subgroup, "sum") ? gradientOf(facts, subgroup, "sum") : undefined;
		case "downscale":
		case "cast":
		case "pageable-upload":
			return what === "parameter" && version === "new" ? [content("master", subgroup, "new")] : undefined;
		case "host-update":
		case "fused-update":
		case "device-update": {
			const isState = (stateQuantities as readonly string[]).includes(what) && version === "new";
			if (!isState && !(task.kind === "fused-update" && what === "parameter" && version === "new")) return undefined;
			const state = stateQuantities.map((quantity) => content(quantity, subgroup, "old"));
			const whole = content("gradient", subgroup, "sum");
			if (task.kind === "device-update" && read.has(whole)) return [...state, whole];
			return [...state, ...gradientOf(facts, subgroup, task.kind === "host-update" ? "unscaled" : "sum")];
		}
		case "gradient-flush":
		case "pageable-flush":
		case "keep-gradient": {
			const bucket = facts.buckets.find(({ parts }) =>
				parts.some((part) => content("gradient", part.subgroup, "sum", part.part) === written),
			);
			return bucket ? [`bucket:${bucket.index}.${facts.lastMicroStep}:sum`] : undefined;
		}
		case "reduce":
			if (what !== "bucket" || version !== (which.endsWith(".0") ? "sum" : "part")) return undefined;
			return [`bucket:${which}:raw`];
		case "accumulate": {
			const [bucket, microStep] = which.split(".").map(Number);
			if (what !== "bucket" || version !== "sum") return undefined;
			return [`bucket:${which}:part`, `bucket:${bucket}.${microStep! - 1}:sum`];
		}
		case "backward":
			return what === "bucket" && version === "raw" ? [`activations:${task.microStep}`] : undefined;
		case "forward":
			return what === "activations" ? [] : undefined;
		case "gather":
			return what === "layer" ? [] : undefined;
		default:
			return undefined;
	}
}

/** Why a task cannot leave a content behind, in words; undefined when it can. */
export function contentFault(task: Task, written: string, facts: ContentFacts): string | undefined {
	const read = new Set(task.reads.map((access) => access.content));
	const needs = needed(task, written, facts, read);
	if (!needs) return `a task of kind ${task.kind} cannot make ${written}`;
	const missing = needs.find((name) => !read.has(name));
	return missing === undefined ? undefined : `making ${written} needs ${missing}, which it does not read`;
}
