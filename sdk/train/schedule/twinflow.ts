// TwinFlow: part of the optimizer state lives on the device for the whole run, the rest is offloaded.

import { OctavoError, received } from "../../errors.js";
import { anything, checkOptions } from "../../options.js";
import { checkConfiguration, type TrainingConfiguration } from "./configuration.js";
import type { Schedule } from "./task.js";
import { planSerialUpdate } from "./zero-offload.js";

/**
 * `zeroOffloadAsync` with the last subgroups resident on the device; the device updates them while the host updates
 * the others.
 *
 * @param offloadRatio share of the subgroups that stays on the host, 0 to 1; default the configuration's
 * @throws {OctavoError} ERR_OCTAVO_CONFIGURATION; ERR_OCTAVO_OPTION for an unknown option
 */
export function twinflow(configuration: TrainingConfiguration, options: { offloadRatio?: number } = {}): Schedule {
	checkOptions("schedules.twinflow()", options, { offloadRatio: anything });
	const { offloadRatio = configuration.offloadRatio } = options;
	if (!(offloadRatio >= 0 && offloadRatio <= 1)) {
		const message = `Expected a number from 0 to 1 for offloadRatio but received ${received(offloadRatio)}`;
		throw new OctavoError("ERR_OCTAVO_CONFIGURATION", message);
	}
	const divided = { ...configuration, offloadRatio };
	checkConfiguration(divided);
	return planSerialUpdate(divided, { planner: `twinflow ratio=${offloadRatio}`, flush: "pinned" });
}
