// The authors' latest code, which the H100 runs used: three copy streams and an asynchronous downscale thread.

import { access, staging, stateHome } from "../buffers.js";
import { ScheduleBuilder } from "../builder.js";
import { checkConfiguration, numOffloaded, type TrainingConfiguration } from "../configuration.js";
import { planModelPhases } from "../model-phases.js";
import { content, type Schedule, stateQuantities } from "../task.js";
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
 * Deep Optimizer States as its third published version ran.
 *
 * Faults kept: no order between a device update and its write-back; with n mod k = 0 the last device update is never
 * written back; the stride ignores residency; trailing copies are not waited for.
 *
 * @param stride k, at least 2
 */
export function publishedV3(configuration: TrainingConfiguration, stride: number): Schedule {
	checkConfiguration(configuration);
	const builder = new ScheduleBuilder(`published-v3 k=${stride}`, configuration);
	const gradientPlace = (subgroup: number) =>
		subgroup >= numOffloaded(configuration)
			? ({ place: "device", bytes: 4 } as const)
			: keepsGradient({ builder }, subgroup, stride)
				? ({ place: "device", bytes: 2 } as const)
				: ({ place: "host", bytes: 4 } as const);
	const phases = planModelPhases(builder, { gradientPlace, flush: "pinned", asPublished: true });
	const context: UpdateContext = { builder, phases, gradientPlace };
	const end = planUpdate(context, stride, planNorm(context));
	return endIteration(builder, end, true);
}

function planUpdate(context: UpdateContext, stride: number, norm: string): string[] {
	const { builder } = context;
	const { subgroupNumels } = builder.configuration;
	const n = subgroupNumels.length;
	const offloaded = numOffloaded(builder.configuration);
	let pending: number[] = [];
	let last = norm;
	// Only copies that are already enqueued are waited for: those of the downscale thread's batch before the last.
	let enqueued: string[] = [];
	let submitted: string[] = [];
	let arrived: string[] = [];
	for (let i = 0; i < n; i++) {
		const role = publishedRole(i, stride);
		if (role === "device") {
			last = waitFor(context, `wait-state[${i}]`, [last, ...arrived]);
			stagedUpdate(context, i, "compute", [last]);
			continue;
		}
		if (role === "prefetch") {
			const [previous, next] = [i - 1, i + stride - 1];
			if (i > 0) castStaged(context, previous, "compute", [last]);
			arrived = [];
			for (const quantity of stateQuantities) {
				if (i > 0) copyState(context, "write-back", quantity, previous, `copy-${quantity}`, [last]);
				if (next < n) arrived.push(copyState(context, "prefetch", quantity, next, `copy-${quantity}`, [last]));
			}
			if (next < n) upcastGradient(context, next, "compute", [last]);
			if (enqueued.length > 0) last = waitFor(context, `wait-upload[${i}]`, [last, ...enqueued]);
		}
		if (i < offloaded) {
			last = planHostUpdate(context, i, [last]);
			pending.push(i);
		} else {
			last = planResidentUpdate(context, i, [last]);
		}
		if (pending.length > 0 && (publishedRole(i + 1, stride) === "device" || i === n - 1)) {
			enqueued = submitted;
			submitted = pending.map((subgroup) => downscale(context, subgroup, stride, last));
			pending = [];
		}
	}
	return [last];
}

function waitFor({ builder }: UpdateContext, id: string, after: string[]): string {
	return builder.task({ id, kind: "wait", stream: "host", resource: "host", after });
}

/** Half precision into a fresh buffer, then into one of k - 1 pinned ones, then up. */
function downscale(context: UpdateContext, subgroup: number, stride: number, after: string): string {
	const { builder } = context;
	const elements = builder.configuration.subgroupNumels[subgroup]!;
	const largest = Math.max(...builder.configuration.subgroupNumels);
	const buffer = staging(builder, "host", "parameter", subgroup % Math.max(1, stride - 1), 2 * largest);
	const task = builder.task({
		id: `downscale[${subgroup}]`,
		kind: "downscale",
		subgroup,
		elements,
		bytes: 10 * elements,
		stream: "downscale",
		resource: "host",
		reads: [stateHome(builder, subgroup, "host", "new")[0]!],
		writes: [access(buffer, content("parameter", subgroup, "new"))],
		after: [after],
	});
	return uploadPinned(context, subgroup, buffer, "upload", [task]);
}
