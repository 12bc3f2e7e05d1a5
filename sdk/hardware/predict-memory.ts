// Memory that training will need, before anything runs: the most each place may hold, of what it consists, and by how
// much it does not fit. It is the checker's bound over every order that the edges allow, so it holds on any hardware;
// a simulated or real run can stay below it.

import { OctavoError, received } from "../errors.js";
import { memoryBounds, type PeakBound, peakBound } from "../train/schedule/check-memory.js";
import { findProblems } from "../train/schedule/checker.js";
import { numOffloaded, ranksPerNode, type TrainingConfiguration } from "../train/schedule/configuration.js";
import { octavo } from "../train/schedule/octavo.js";
import { orderOf } from "../train/schedule/order.js";
import type { Schedule } from "../train/schedule/task.js";

/** Memory that there is; a `Profile` is one. Absent: not limited. */
export interface MemoryCapacity {
	/** Bytes of one rank's device; above 0. */
	readonly deviceBytes?: number;
	/** Bytes of host memory of a node, for all its ranks; above 0. */
	readonly hostBytes?: number;
}

/** What all buffers of one purpose take at the peak. */
export interface MemoryPart {
	/** The buffers' name without place and index: `parameter`, `master`, `staging-momentum`, `activations`, … */
	readonly what: string;
	/** Buffers of this kind. */
	readonly numBuffers: number;
	/** Their bytes in all. */
	readonly bytes: number;
}

/** Memory of one place. */
export interface PlaceMemory {
	/** Highest use in bytes: of one rank on the device, of all ranks of a node on the host. */
	readonly peakBytes: number;
	/** Task at which it is reached; of several, the first of the schedule. */
	readonly peakTask: string;
	/** What is live at that task, the largest first; they add up to `peakBytes`. */
	readonly parts: readonly MemoryPart[];
	/** The bound where it is lowest: parameters and state that live there, and whatever else no task can do without. */
	readonly lowestBytes: number;
	/** Bytes that are missing; 0 when it fits or there is no limit. */
	readonly shortBytes: number;
}

/** What a schedule needs. */
export interface MemoryPrediction {
	/** Planner of the schedule that was looked at. */
	readonly planner: string;
	/** Whether both fit; true where no capacity was given. */
	readonly fits: boolean;
	/** Of one device. */
	readonly device: PlaceMemory;
	/** Of a node's host memory. */
	readonly host: PlaceMemory;
	/** Where it does not fit: "does not fit: short by N bytes on the device at T, because …". One for each place. */
	readonly problems: readonly string[];
}

/**
 * Predicts the memory of an iteration.
 *
 * @param what a schedule; or a configuration, for the least that our schedule needs with its residency: all updates of
 * offloaded subgroups on the host, two pinned buffers for uploads
 * @param capacity a profile, or the bytes of one device and of one node's host memory; default no limit
 * @example
 * ```ts
 * import { hardware, schedules } from "octavo";
 * const configuration = schedules.publishedConfiguration("20B");
 * const node = hardware.profileByName("a100-4x-bound");
 * console.log(hardware.predictMemory(configuration, node).fits);   // true
 * const { problems } = hardware.predictMemory(schedules.onDevice(configuration), node);
 * console.log(problems[0]!.startsWith("does not fit: short by "));   // true
 * ```
 * @throws {OctavoError} ERR_OCTAVO_OPTION for a capacity that is no number above 0; ERR_OCTAVO_SCHEDULE for a schedule
 * that is malformed or has a cycle; ERR_OCTAVO_CONFIGURATION
 */
export function predictMemory(what: Schedule | TrainingConfiguration, capacity: MemoryCapacity = {}): MemoryPrediction {
	for (const name of ["deviceBytes", "hostBytes"] as const) {
		const bytes = capacity[name];
		if (bytes === undefined || bytes > 0) continue;
		const message = `Expected a number above 0 for ${name} but received ${received(bytes)}`;
		throw new OctavoError("ERR_OCTAVO_OPTION", message);
	}
	if (Object.keys(capacity).length > 0 && capacity.deviceBytes === undefined && capacity.hostBytes === undefined) {
		const given = Object.keys(capacity).join(", ");
		throw new OctavoError(
			"ERR_OCTAVO_OPTION",
			`Expected deviceBytes or hostBytes for the capacity but received ${given}`,
		);
	}
	const schedule = "tasks" in what ? what : leastSchedule(what);
	const broken = findProblems(schedule).find(({ kind }) => kind === "malformed" || kind === "cycle");
	if (broken) throw new OctavoError("ERR_OCTAVO_SCHEDULE", `${broken.message}; ${broken.mend}`);
	const order = orderOf(schedule);
	const numRanks = ranksPerNode(schedule.configuration);
	const memoryOf = (place: "device" | "host"): PlaceMemory => {
		const scale = place === "host" ? numRanks : 1;
		const limit = (place === "host" ? capacity.hostBytes : capacity.deviceBytes) ?? Number.POSITIVE_INFINITY;
		const bound = peakBound(schedule, order, place);
		const lowest = memoryBounds(schedule, order, place).reduce((a, b) => Math.min(a, b), bound.bytes);
		return {
			peakBytes: bound.bytes * scale,
			peakTask: schedule.tasks[bound.index]?.id ?? "",
			parts: partsOf(bound, scale),
			lowestBytes: lowest * scale,
			shortBytes: Math.max(0, Math.ceil(bound.bytes * scale - limit)),
		};
	};
	const [device, host] = [memoryOf("device"), memoryOf("host")];
	const problems = [...describeShort("device", device), ...describeShort("host", host)];
	return { planner: schedule.planner, fits: problems.length === 0, device, host, problems };
}

function leastSchedule(configuration: TrainingConfiguration): Schedule {
	const numResident = configuration.subgroupNumels.length - numOffloaded(configuration);
	return octavo(configuration, { numResident, numOnDevice: 0 });
}

function partsOf({ live }: PeakBound, scale: number): MemoryPart[] {
	const parts = new Map<string, MemoryPart>();
	for (const { id, bytes } of live) {
		const what = id.replace(/^(device|host)\./, "").replace(/\[[^\]]*\]$/, "");
		const part = parts.get(what) ?? { what, numBuffers: 0, bytes: 0 };
		parts.set(what, { what, numBuffers: part.numBuffers + scale, bytes: part.bytes + bytes * scale });
	}
	return [...parts.values()].sort((a, b) => b.bytes - a.bytes || (a.what < b.what ? -1 : 1));
}

function describeShort(place: "device" | "host", { peakTask, parts, shortBytes }: PlaceMemory): string[] {
	if (shortBytes === 0) return [];
	const largest = parts.slice(0, 3).map(({ what, numBuffers, bytes }) => `${what} (${numBuffers}) ${bytes}`);
	const rest = parts.length > 3 ? ` and ${parts.length - 3} more kinds of buffers` : "";
	const reason = `these bytes may be live: ${largest.join(", ")}${rest}`;
	return [`does not fit: short by ${shortBytes} bytes on the ${place} at ${peakTask}, because ${reason}`];
}
