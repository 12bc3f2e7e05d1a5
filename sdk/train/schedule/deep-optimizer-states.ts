// Deep Optimizer States done right: the stride counts offloaded subgroups only, every device update is written back,
// and every producer is ordered before its consumer.

import { OctavoError, received } from "../../errors.js";
import { optimalStride } from "../../hardware/closed-form.js";
import type { Profile } from "../../hardware/profile.js";
import { anything, checkOptions } from "../../options.js";
import { checkConfiguration, numOffloaded, ranksPerNode, type TrainingConfiguration } from "./configuration.js";
import { planInterleaved } from "./interleaved.js";
import type { Schedule } from "./task.js";

/** Options of `deepOptimizerStates`. */
export interface DeepOptimizerStatesOptions {
	/**
	 * Every k-th offloaded subgroup is updated on the device; at least 1. `auto`: `optimalStride` of the profile, none where
	 * that is infinite.
	 */
	readonly updateStride: number | "auto";
	/** Needed for `auto`. */
	readonly profile?: Profile;
}

/**
 * S2: while the host updates the subgroups of a stride, the state of the stride's last subgroup visits the device. With
 * `offloadRatio` below 1 the last subgroups are resident, and the stride runs over the others.
 *
 * Source: arXiv:2410.21316. Differs: the stride ignores resident subgroups; the last device update is written back too.
 *
 * @throws {OctavoError} ERR_OCTAVO_CONFIGURATION; ERR_OCTAVO_OPTION for an unknown option
 */
export function deepOptimizerStates(
	configuration: TrainingConfiguration,
	options: DeepOptimizerStatesOptions,
): Schedule {
	checkConfiguration(configuration);
	checkOptions("schedules.deepOptimizerStates()", options, { updateStride: anything, profile: anything });
	const { updateStride, profile } = (options ?? {}) as DeepOptimizerStatesOptions;
	if (updateStride === "auto" && !profile) {
		throw new OctavoError("ERR_OCTAVO_CONFIGURATION", "Expected a profile for updateStride auto but received none");
	}
	const stride = updateStride === "auto" ? optimalStride(profile!, ranksPerNode(configuration)) : updateStride;
	const isNone = updateStride === "auto" && stride === Number.POSITIVE_INFINITY;
	if (!isNone && (!Number.isInteger(stride) || stride < 1)) {
		const message = `Expected a whole number, at least 1, for updateStride but received ${received(updateStride)}`;
		throw new OctavoError("ERR_OCTAVO_CONFIGURATION", message);
	}
	const subgroups = configuration.subgroupNumels.map((_, subgroup) => subgroup);
	const offloaded = numOffloaded(configuration);
	return planInterleaved(configuration, {
		planner: `deep-optimizer-states k=${stride}`,
		resident: new Set(subgroups.slice(offloaded)),
		onDevice: new Set(subgroups.slice(0, offloaded).filter((index) => (index + 1) % stride === 0)),
		deviceSlots: 1,
		hostSlots: 1,
		fusedHostPass: false,
	});
}
