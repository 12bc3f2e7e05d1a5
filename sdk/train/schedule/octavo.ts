// Our own schedule: one fused pass on the host, any share of the subgroups on the device, several staging buffers, and
// residency from free memory. Which share and how many is a choice that `searchOctavo` makes by simulation.

import { OctavoError, received } from "../../errors.js";
import { anything, checkOptions } from "../../options.js";
import { checkConfiguration, type TrainingConfiguration } from "./configuration.js";
import { planInterleaved } from "./interleaved.js";
import type { Schedule } from "./task.js";

/** What can be chosen. */
export interface OctavoChoice {
	/** Subgroups resident on the device, counted from the last; from 0 to all. */
	readonly numResident: number;
	/** Offloaded subgroups that are updated on the device, spread evenly; from 0 to all that are offloaded. */
	readonly numOnDevice: number;
	/** Staging buffers on the device; default 2. */
	readonly deviceSlots?: number;
	/** Pinned buffers on the host for parameters on their way up; default 2. */
	readonly hostSlots?: number;
}

/**
 * Plans our schedule.
 *
 * @throws {OctavoError} ERR_OCTAVO_CONFIGURATION; ERR_OCTAVO_OPTION for an unknown name in the choice
 */
export function octavo(configuration: TrainingConfiguration, choice: OctavoChoice): Schedule {
	checkConfiguration(configuration);
	const names = { numResident: anything, numOnDevice: anything, deviceSlots: anything, hostSlots: anything };
	checkOptions("schedules.octavo()", choice, names);
	const n = configuration.subgroupNumels.length;
	const { numResident, numOnDevice, deviceSlots = 2, hostSlots = 2 } = (choice ?? {}) as OctavoChoice;
	const check = (name: keyof OctavoChoice, value: number, min: number, max: number): void => {
		if (Number.isInteger(value) && value >= min && value <= max) return;
		const message = `Expected a whole number from ${min} to ${max} for ${name} but received ${received(value)}`;
		throw new OctavoError("ERR_OCTAVO_CONFIGURATION", message);
	};
	check("numResident", numResident, 0, n);
	const numOffloaded = n - numResident;
	check("numOnDevice", numOnDevice, 0, numOffloaded);
	check("deviceSlots", deviceSlots, 1, 16);
	check("hostSlots", hostSlots, 1, 16);
	// Evenly spread, as a line is drawn on a grid: a device turn falls where the running share passes a whole number.
	const turn = (index: number): number => Math.floor(((index + 1) * numOnDevice) / numOffloaded);
	const subgroups = configuration.subgroupNumels.map((_, subgroup) => subgroup);
	return planInterleaved(
		{ ...configuration, offloadRatio: numOffloaded / n },
		{
			planner: "octavo",
			resident: new Set(subgroups.slice(numOffloaded)),
			onDevice: new Set(subgroups.slice(0, numOffloaded).filter((index) => turn(index) > turn(index - 1))),
			deviceSlots,
			hostSlots,
			fusedHostPass: true,
		},
	);
}
