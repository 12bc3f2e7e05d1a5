// Finds our schedule for a configuration: tries shares of device updates and of residency in the simulator, keeps what
// the checker accepts and the memory allows, and says what it costs beside what it gains.

import { OctavoError } from "../errors.js";
import { checkOptions, integer, number, optional } from "../options.js";
import { checkSchedule } from "../train/schedule/checker.js";
import { checkConfiguration, ranksPerNode, type TrainingConfiguration } from "../train/schedule/configuration.js";
import { type OctavoChoice, octavo } from "../train/schedule/octavo.js";
import type { Schedule } from "../train/schedule/task.js";
import { peakMemory } from "./memory.js";
import type { Profile } from "./profile.js";
import { type Simulation, simulate } from "./simulate.js";

/** How to search. */
export interface SearchOptions {
	/** Share of device memory that a schedule may plan with, from 0 to 1; fragments and libraries have the rest. Default 0.9. */
	readonly deviceShare?: number;
	/** Most subgroups that may be made resident, from 0; default all. 0 keeps the configuration's own residency. */
	readonly maxResident?: number;
}

/** What a schedule moves and needs, for a rank; host memory for a node. */
export interface ScheduleCost {
	/** Time of an iteration, in microseconds. */
	readonly iterationUs: number;
	/** Time of its update, in microseconds. */
	readonly updateUs: number;
	/** Bytes over each copy engine in one iteration. */
	readonly h2dBytes: number;
	/** Bytes from the device to the host. */
	readonly d2hBytes: number;
	/** Highest use, in bytes. */
	readonly deviceBytes: number;
	/** Most host memory in use, in bytes. */
	readonly hostBytes: number;
}

/** The best choice found. */
export interface SearchResult {
	/** What was chosen. */
	readonly choice: OctavoChoice;
	/** The schedule of it, checked. */
	readonly schedule: Schedule;
	/** Its simulation. */
	readonly simulation: Simulation;
	/** Its time, traffic and memory. */
	readonly cost: ScheduleCost;
	/** Number of schedules simulated. */
	readonly numTried: number;
}

/** Sums up a simulation, so that two schedules can be put side by side. */
export function scheduleCost(simulation: Simulation): ScheduleCost {
	const bytesOver = (resource: string): number =>
		simulation.schedule.tasks.filter((task) => task.resource === resource).reduce((sum, task) => sum + task.bytes, 0);
	return {
		iterationUs: simulation.iterationUs,
		updateUs: simulation.updateUs,
		h2dBytes: bytesOver("h2d"),
		d2hBytes: bytesOver("d2h"),
		...peakMemory(simulation),
	};
}

/**
 * Searches our schedule's choices. Deterministic.
 *
 * @throws {OctavoError} ERR_OCTAVO_MEMORY when not even the smallest choice fits; ERR_OCTAVO_CONFIGURATION;
 * ERR_OCTAVO_OPTION
 */
export function searchOctavo(
	configuration: TrainingConfiguration,
	profile: Profile,
	options: SearchOptions = {},
): SearchResult {
	const { deviceShare, maxResident } = checkOptions("hardware.searchOctavo()", options, {
		deviceShare: number(0, 1, 0.9),
		maxResident: optional(integer(0, 2 ** 31 - 1, 0)),
	});
	checkConfiguration(configuration);
	const n = configuration.subgroupNumels.length;
	const own = n - Math.floor(configuration.offloadRatio * n);
	const limits = { deviceBytes: deviceShare * profile.deviceBytes, hostBytes: profile.hostBytes };
	const tried = new Map<string, { result: SearchResult; fits: boolean }>();
	const attempt = (choice: OctavoChoice): { result: SearchResult; fits: boolean } => {
		const key = JSON.stringify(choice);
		const known = tried.get(key);
		if (known) return known;
		const schedule = octavo(configuration, choice);
		const simulation = simulate(schedule, profile);
		const cost = scheduleCost(simulation);
		const fits = cost.deviceBytes <= limits.deviceBytes && cost.hostBytes <= limits.hostBytes;
		const tryResult = { result: { choice, schedule, simulation, cost, numTried: 0 }, fits };
		tried.set(key, tryResult);
		return tryResult;
	};
	const better = (a: SearchResult | undefined, b: SearchResult): SearchResult =>
		a && a.cost.iterationUs <= b.cost.iterationUs ? a : b;

	/** Best share of device updates for one residency: coarse steps first, then around the best of them. */
	const bestFor = (numResident: number): SearchResult | undefined => {
		const offloaded = n - numResident;
		let best: SearchResult | undefined;
		for (let width = Math.max(1, Math.ceil(offloaded / 6)); ; width = Math.ceil(width / 3)) {
			const centre = best?.choice.numOnDevice;
			const from = centre === undefined ? 0 : Math.max(0, centre - 3 * width);
			const to = centre === undefined ? offloaded : Math.min(offloaded, centre + 3 * width);
			for (let numOnDevice = from; numOnDevice <= to; numOnDevice += width) {
				for (const deviceSlots of [2, 3]) {
					const { result, fits } = attempt({ numResident, numOnDevice, deviceSlots });
					if (fits) best = better(best, result);
				}
			}
			if (width === 1) return best;
		}
	};
	const mostResident = maxResident === 0 ? own : Math.min(n, maxResident ?? n);
	let best: SearchResult | undefined;
	let [low, high] = [own, Math.max(own, mostResident)];
	// More residency is better until memory ends, so the most that fits is found by halving.
	while (low <= high) {
		const middle = Math.ceil((low + high) / 2);
		const found = bestFor(middle);
		if (found) {
			best = better(best, found);
			low = middle + 1;
		} else high = middle - 1;
	}
	if (!best) {
		const { cost } = attempt({ numResident: own, numOnDevice: 0, deviceSlots: 2 }).result;
		const device = Math.max(0, cost.deviceBytes - limits.deviceBytes);
		const host = Math.max(0, cost.hostBytes - limits.hostBytes);
		const message = `Expected the configuration to fit ${profile.name} but it is short by ${Math.ceil(device)} bytes on the device and ${Math.ceil(host)} bytes on the host`;
		throw new OctavoError("ERR_OCTAVO_MEMORY", message);
	}
	checkSchedule(best.schedule, { hostBytes: profile.hostBytes / ranksPerNode(configuration) });
	return { ...best, numTried: tried.size };
}
