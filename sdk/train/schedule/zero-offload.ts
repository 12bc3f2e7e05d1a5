// ZeRO offload as the papers measure it: the gradient flush blocks the host, and the update is one serial chain.

import { ScheduleBuilder } from "./builder.js";
import { checkConfiguration, numOffloaded, type TrainingConfiguration } from "./configuration.js";
import { planModelPhases } from "./model-phases.js";
import type { ModelPhaseOptions } from "./reduction.js";
import type { Schedule } from "./task.js";
import { planHostUpdate, planNorm, planPageableUpload, planResidentUpdate, type UpdateContext } from "./update.js";

/** How a serial update differs between `zero-offload`, `zero-offload-async` and `twinflow`. */
export interface SerialUpdateOptions {
	readonly planner: string;
	readonly flush: ModelPhaseOptions["flush"];
	/** Adds the waits and cache releases of the published runs. Default false. */
	readonly asPublished?: boolean;
}

/**
 * The serial update that all plain offload schedules share: subgroup after subgroup, on the host where it is offloaded
 * (`configuration.offloadRatio`) and on the device where it is resident.
 */
export function planSerialUpdate(configuration: TrainingConfiguration, options: SerialUpdateOptions): Schedule {
	checkConfiguration(configuration);
	const builder = new ScheduleBuilder(options.planner, configuration);
	const offloaded = numOffloaded(configuration);
	const gradientPlace = (subgroup: number) => ({ place: subgroup < offloaded ? "host" : "device", bytes: 4 }) as const;
	const phases = planModelPhases(builder, { gradientPlace, ...options });
	const context: UpdateContext = { builder, phases, gradientPlace };
	const norm = planNorm(context);
	const ends: string[] = [norm];
	for (let subgroup = 0; subgroup < configuration.subgroupNumels.length; subgroup++) {
		// The published code updates resident subgroups in turn with the others; nothing asks for that.
		const after = options.asPublished ? [ends.at(-1)] : [norm];
		ends.push(
			subgroup < offloaded
				? planPageableUpload(context, subgroup, planHostUpdate(context, subgroup, after))
				: planResidentUpdate(context, subgroup, after),
		);
	}
	return endIteration(builder, ends, options.asPublished);
}

/** Ends the iteration: the host waits for what the schedule says it waits for. */
export function endIteration(builder: ScheduleBuilder, after: readonly string[], asPublished = false): Schedule {
	const place = { stream: "host", resource: "host" } as const;
	const end = builder.task({ id: "end-update", kind: "wait", ...place, after });
	if (asPublished) builder.task({ id: "release-update", kind: "release", ...place, after: [end, ...builder.latest()] });
	return builder.build();
}

/**
 * S0: the whole optimizer on the host, nothing overlaps. With `offloadRatio` below 1 the last subgroups are resident.
 *
 * @throws {OctavoError} ERR_OCTAVO_CONFIGURATION
 */
export function zeroOffload(configuration: TrainingConfiguration): Schedule {
	return planSerialUpdate(configuration, { planner: "zero-offload", flush: "pageable" });
}
