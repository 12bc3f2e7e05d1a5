// ZeRO offload with an asynchronous gradient flush: what today's DeepSpeed does, so the fair baseline.

import type { TrainingConfiguration } from "./configuration.js";
import type { Schedule } from "./task.js";
import { planSerialUpdate } from "./zero-offload.js";

/**
 * S1: gradients are converted on the device and copied to pinned memory while backward goes on; the update is as in
 * `zeroOffload`.
 *
 * @throws {OctavoError} ERR_OCTAVO_CONFIGURATION
 */
export function zeroOffloadAsync(configuration: TrainingConfiguration): Schedule {
	return planSerialUpdate(configuration, { planner: "zero-offload-async", flush: "pinned" });
}
