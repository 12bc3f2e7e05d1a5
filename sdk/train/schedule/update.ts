// The steps of an update that planners share: the norm before all of them, a subgroup updated where it lives, and the
// pieces that move one subgroup's state to the device and back.

import { gradientParts } from "./buckets.js";
import { access, gradient, parameters, staging, stateHome } from "./buffers.js";
import type { ScheduleBuilder } from "./builder.js";
import type { ModelPhases } from "./model-phases.js";
import { type Access, content, type Quantity, stateQuantities } from "./task.js";

/** A schedule in the making, after its backward pass. */
export interface UpdateContext {
	readonly builder: ScheduleBuilder;
	readonly phases: ModelPhases;
	/** Where each subgroup's gradient waits. */
	readonly gradientPlace: (subgroup: number) => { place: "host" | "device"; bytes: 2 | 4 };
}

/** The gradient of a subgroup, part by part, where backward left it. */
export function gradients(context: UpdateContext, subgroup: number, version: "sum" | "unscaled"): Access[] {
	const { place, bytes } = context.gradientPlace(subgroup);
	const parts = gradientParts(context.phases.buckets, subgroup);
	return parts.map((part) => gradient(context.builder, part, place, bytes, version));
}

function numel(context: UpdateContext, subgroup: number): number {
	return context.builder.configuration.subgroupNumels[subgroup]!;
}

/** The global gradient norm: clipping needs it before the first update. */
export function planNorm({ builder, phases }: UpdateContext): string {
	return builder.task({
		id: "norm",
		kind: "norm",
		stream: "host",
		resource: "host",
		reads: phases.gradients,
		after: [phases.end],
	});
}

/** Updates a subgroup whose state is on the device, and casts its parameters there. Gives the last task. */
export function planResidentUpdate(
	context: UpdateContext,
	subgroup: number,
	after: readonly (string | undefined)[],
	stream = "compute",
): string {
	const { builder } = context;
	const elements = numel(context, subgroup);
	const place = { subgroup, elements, stream, resource: "device" } as const;
	const state = stateHome(builder, subgroup, "device", "new");
	const update = builder.task({
		...place,
		id: `device-update[${subgroup}]`,
		kind: "device-update",
		bytes: 28 * elements,
		reads: [...stateHome(builder, subgroup, "device", "old"), ...gradients(context, subgroup, "sum")],
		writes: state,
		after,
	});
	return builder.task({
		...place,
		id: `cast[${subgroup}]`,
		kind: "cast",
		bytes: 6 * elements,
		reads: [state[0]!],
		writes: [parameters(builder, subgroup, "new")],
		after: [update],
	});
}

/** Unscales and updates a subgroup on the host, in two passes. Gives the last task. */
export function planHostUpdate(
	context: UpdateContext,
	subgroup: number,
	after: readonly (string | undefined)[],
): string {
	const { builder } = context;
	const elements = numel(context, subgroup);
	const place = { subgroup, elements, stream: "host", resource: "host" } as const;
	const unscaled = gradients(context, subgroup, "unscaled");
	const unscale = builder.task({
		...place,
		id: `unscale[${subgroup}]`,
		kind: "unscale",
		bytes: 8 * elements,
		reads: gradients(context, subgroup, "sum"),
		writes: unscaled,
		after,
	});
	return builder.task({
		...place,
		id: `host-update[${subgroup}]`,
		kind: "host-update",
		bytes: 28 * elements,
		reads: [...stateHome(builder, subgroup, "host", "old"), ...unscaled],
		writes: stateHome(builder, subgroup, "host", "new"),
		after: [unscale],
	});
}

/** Downscales on the host and copies up from pageable memory, in one call that blocks the host. */
export function planPageableUpload(context: UpdateContext, subgroup: number, after: string): string {
	const { builder } = context;
	const elements = numel(context, subgroup);
	const [master] = stateHome(builder, subgroup, "host", "new");
	return builder.task({
		id: `pageable-upload[${subgroup}]`,
		kind: "pageable-upload",
		subgroup,
		elements,
		bytes: 8 * elements,
		stream: "host",
		resource: "host",
		reads: [master!],
		writes: [parameters(builder, subgroup, "new")],
		after: [after],
	});
}

/** What a staging slot holds of a subgroup. */
export function staged(
	builder: ScheduleBuilder,
	quantity: Quantity,
	subgroup: number,
	slot: number,
	version: "old" | "new" | "sum",
): Access {
	const largest = Math.max(...builder.configuration.subgroupNumels);
	return access(staging(builder, "device", quantity, slot, 4 * largest), content(quantity, subgroup, version));
}

/** The whole staged state of a subgroup. */
export function stagedState(
	builder: ScheduleBuilder,
	subgroup: number,
	slot: number,
	version: "old" | "new",
): Access[] {
	return stateQuantities.map((quantity) => staged(builder, quantity, subgroup, slot, version));
}
