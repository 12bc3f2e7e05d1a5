// No offload: the whole training state on the device, the bound that offload schedules are measured against.

import type { TrainingConfiguration } from "./configuration.js";
import { planInterleaved } from "./interleaved.js";
import type { Schedule } from "./task.js";

/**
 * Every subgroup resident on the device and updated there. Needs 18 bytes of device memory a parameter, and whatever
 * `offloadRatio` says.
 *
 * @throws {OctavoError} ERR_OCTAVO_CONFIGURATION
 */
export function onDevice(configuration: TrainingConfiguration): Schedule {
	return planInterleaved(
		{ ...configuration, offloadRatio: 0 },
		{
			planner: "on-device",
			resident: new Set(configuration.subgroupNumels.keys()),
			onDevice: new Set(),
			deviceSlots: 1,
			hostSlots: 1,
			fusedHostPass: false,
		},
	);
}
