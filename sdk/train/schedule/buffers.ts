// The buffers that every planner uses, by one naming: `place.quantity[subgroup]`. Optimizer state has a home, on the
// host for offloaded subgroups and on the device for resident ones, and must be new there at the end.

import type { GradientPart } from "./buckets.js";
import type { ScheduleBuilder } from "./builder.js";
import { type Access, content, type Quantity, stateQuantities } from "./task.js";

/** Bytes of one parameter of each quantity; a gradient's depend on where it is kept. */
export const bytesPerElement = { master: 4, momentum: 4, variance: 4, parameter: 2 } as const;

/** An access to the content of a buffer. */
export function access(buffer: string, of: string): Access {
	return { buffer, content: of };
}

/** The optimizer state of a subgroup at its home. */
export function stateHome(
	builder: ScheduleBuilder,
	subgroup: number,
	place: "host" | "device",
	version: "old" | "new",
): Access[] {
	const numel = builder.configuration.subgroupNumels[subgroup]!;
	return stateQuantities.map((quantity) => {
		const id = builder.buffer({
			id: `${place}.${quantity}[${subgroup}]`,
			place,
			bytes: 4 * numel,
			initial: content(quantity, subgroup, "old"),
			final: content(quantity, subgroup, "new"),
		});
		return access(id, content(quantity, subgroup, version));
	});
}

/** The bf16 parameters of a subgroup, which live on the device. */
export function parameters(builder: ScheduleBuilder, subgroup: number, version: "old" | "new"): Access {
	const id = builder.buffer({
		id: `device.parameter[${subgroup}]`,
		place: "device",
		bytes: 2 * builder.configuration.subgroupNumels[subgroup]!,
		initial: content("parameter", subgroup, "old"),
		final: content("parameter", subgroup, "new"),
	});
	return access(id, content("parameter", subgroup, version));
}

/**
 * One part of a subgroup's gradient.
 *
 * @param bytes a parameter: 4 for fp32, 2 for bf16
 */
export function gradient(
	builder: ScheduleBuilder,
	{ subgroup, part, elements }: GradientPart,
	place: "host" | "device",
	bytes: 2 | 4,
	version: "sum" | "unscaled",
): Access {
	const id = builder.buffer({ id: `${place}.gradient[${subgroup}.${part}]`, place, bytes: bytes * elements });
	return access(id, content("gradient", subgroup, version, part));
}

/** A staging buffer for one quantity of any subgroup, as large as the largest of them. */
export function staging(
	builder: ScheduleBuilder,
	place: "host" | "device",
	quantity: Quantity,
	slot: number,
	bytes: number,
): string {
	return builder.buffer({ id: `${place}.staging-${quantity}[${slot}]`, place, bytes });
}
