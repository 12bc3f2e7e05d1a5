// How the update of the published Deep Optimizer States runs differs from ours. These planners repeat the authors'
// code with its faults, so that their measurements can be predicted; `checkSchedule` refuses most of them.

import { access, parameters, stateHome } from "../buffers.js";
import { numOffloaded } from "../configuration.js";
import { type Access, content, stateQuantities } from "../task.js";
import { gradients, staged, type UpdateContext } from "../update.js";

/** What index i of the published update does; the pattern ignores where a subgroup lives. */
export type PublishedRole = "prefetch" | "device" | "host";

/** Role of a subgroup at stride k. */
export function publishedRole(index: number, stride: number): PublishedRole {
	if (index % stride === 0) return "prefetch";
	return (index + 1) % stride === 0 ? "device" : "host";
}

/** Whether a subgroup's gradient stays on the device from backward to update. */
export function keepsGradient(context: Pick<UpdateContext, "builder">, index: number, stride: number): boolean {
	return index >= numOffloaded(context.builder.configuration) || publishedRole(index, stride) === "device";
}

/** Bytes of one copy of a subgroup's fp32 tensor. */
function stateBytes(context: UpdateContext, subgroup: number): number {
	return 4 * context.builder.configuration.subgroupNumels[subgroup]!;
}

/** Copies one tensor of a subgroup's state between its home and the staging buffer, whichever way. */
export function copyState(
	context: UpdateContext,
	direction: "prefetch" | "write-back",
	quantity: (typeof stateQuantities)[number],
	subgroup: number,
	stream: string,
	after: readonly (string | undefined)[],
): string {
	const { builder } = context;
	const index = stateQuantities.indexOf(quantity);
	const resident = subgroup >= numOffloaded(builder.configuration);
	const version = direction === "prefetch" ? "old" : "new";
	const home = stateHome(builder, subgroup, resident ? "device" : "host", version)[index]!;
	const stage = staged(builder, quantity, subgroup, 0, version);
	const bytes = stateBytes(context, subgroup);
	return builder.task({
		id: `${direction}[${subgroup}].${quantity}`,
		kind: direction,
		subgroup,
		elements: bytes / 4,
		bytes: resident ? 2 * bytes : bytes,
		stream,
		resource: resident ? "device" : direction === "prefetch" ? "h2d" : "d2h",
		reads: [direction === "prefetch" ? home : stage],
		writes: [direction === "prefetch" ? stage : home],
		after,
	});
}

/** Adam on the device over the staged state. */
export function stagedUpdate(context: UpdateContext, subgroup: number, stream: string, after: string[]): string {
	const { builder } = context;
	const elements = builder.configuration.subgroupNumels[subgroup]!;
	const state = (version: "old" | "new"): Access[] =>
		stateQuantities.map((quantity) => staged(builder, quantity, subgroup, 0, version));
	return builder.task({
		id: `device-update[${subgroup}]`,
		kind: "device-update",
		subgroup,
		elements,
		bytes: 28 * elements,
		stream,
		resource: "device",
		reads: [...state("old"), staged(builder, "gradient", subgroup, 0, "sum")],
		writes: state("new"),
		after,
	});
}

/** The kept bf16 gradient becomes fp32 in the staging buffer. */
export function upcastGradient(context: UpdateContext, subgroup: number, stream: string, after: string[]): string {
	const { builder } = context;
	const elements = builder.configuration.subgroupNumels[subgroup]!;
	return builder.task({
		id: `upcast[${subgroup}]`,
		kind: "upcast",
		subgroup,
		elements,
		bytes: 6 * elements,
		stream,
		resource: "device",
		reads: gradients(context, subgroup, "sum"),
		writes: [staged(builder, "gradient", subgroup, 0, "sum")],
		after,
	});
}

/** The staged master parameters become the model's bf16 parameters. */
export function castStaged(context: UpdateContext, subgroup: number, stream: string, after: string[]): string {
	const { builder } = context;
	const elements = builder.configuration.subgroupNumels[subgroup]!;
	return builder.task({
		id: `cast[${subgroup}]`,
		kind: "cast",
		subgroup,
		elements,
		bytes: 6 * elements,
		stream,
		resource: "device",
		reads: [staged(builder, "master", subgroup, 0, "new")],
		writes: [parameters(builder, subgroup, "new")],
		after,
	});
}

/** Copies bf16 parameters of a host-updated subgroup up from a pinned buffer. */
export function uploadPinned(
	context: UpdateContext,
	subgroup: number,
	buffer: string,
	stream: string,
	after: readonly string[],
): string {
	const { builder } = context;
	const elements = builder.configuration.subgroupNumels[subgroup]!;
	return builder.task({
		id: `upload[${subgroup}]`,
		kind: "upload",
		subgroup,
		elements,
		bytes: 2 * elements,
		stream,
		resource: "h2d",
		reads: [access(buffer, content("parameter", subgroup, "new"))],
		writes: [parameters(builder, subgroup, "new")],
		after,
	});
}
