// The authors' second version, which the A100 runs used: one copy stream, nothing duplex, and bf16 parameters taken by
// copying raw fp32 bytes, so no downscale at all.

import { stateHome } from "../buffers.js";
import { ScheduleBuilder } from "../builder.js";
import { checkConfiguration, numOffloaded, type TrainingConfiguration } from "../configuration.js";
import { planModelPhases } from "../model-phases.js";
import { type Schedule, stateQuantities } from "../task.js";
import { planHostUpdate, planNorm, planResidentUpdate, type UpdateContext } from "../update.js";
import { endIteration } from "../zero-offload.js";
import {
	castStaged,
	copyState,
	keepsGradient,
	publishedRole,
	stagedUpdate,
	upcastGradient,
	uploadPinned,
} from "./common.js";

/**
 * Deep Optimizer States as its second published version ran.
 *
 * Faults kept: raw fp32 bytes as bf16 parameters; with n mod k = 0 the last device update is never written back; the
 * stride ignores residency; trailing copies are not waited for.
 *
 * @param stride k, at least 2
 */
export function publishedV2(configuration: TrainingConfiguration, stride: number): Schedule {
	checkConfiguration(configuration);
	const builder = new ScheduleBuilder(`published-v2 k=${stride}`, configuration);
	const offloaded = numOffloaded(configuration);
	const gradientPlace = (subgroup: number) =>
		subgroup >= offloaded
			? ({ place: "device", bytes: 4 } as const)
			: keepsGradient({ builder }, subgroup, stride)
				? ({ place: "device", bytes: 2 } as const)
				: ({ place: "host", bytes: 4 } as const);
	const phases = planModelPhases(builder, { gradientPlace, flush: "pinned", asPublished: true });
	const context: UpdateContext = { builder, phases, gradientPlace };
	const n = configuration.subgroupNumels.length;
	let last = planNorm(context);
	let arrived: string[] = [];
	for (let i = 0; i < n; i++) {
		const role = publishedRole(i, stride);
		if (role === "device") {
			last = builder.task({ id: `wait-state[${i}]`, kind: "wait", stream: "host", resource: "host", after: arrived });
			const update = stagedUpdate(context, i, "update", [last]);
			last = builder.task({ id: `wait-update[${i}]`, kind: "wait", stream: "host", resource: "host", after: [update] });
			continue;
		}
		if (role === "prefetch") {
			const [previous, next] = [i - 1, i + stride - 1];
			if (i > 0) {
				castStaged(context, previous, "copy", [last]);
				for (const quantity of stateQuantities) copyState(context, "write-back", quantity, previous, "copy", [last]);
			}
			arrived = [];
			if (next < n) {
				arrived = stateQuantities.map((quantity) => copyState(context, "prefetch", quantity, next, "copy", [last]));
				arrived.push(upcastGradient(context, next, "compute", [last]));
			}
		}
		if (i < offloaded) {
			last = planHostUpdate(context, i, [last]);
			const [master] = stateHome(builder, i, "host", "new");
			// The bytes of the master copy are taken for bf16: the checker refuses what this reads.
			uploadPinned(context, i, master!.buffer, "upload", [last]);
		} else {
			last = planResidentUpdate(context, i, [last]);
		}
	}
	return endIteration(builder, [last], true);
}
