// An update in which some offloaded subgroups visit the device while the host updates the others. Host, copy engines
// and device each run ahead as far as the staging buffers let them: nothing but data and buffers ties them together.

import { gradientParts } from "./buckets.js";
import { access, gradient, parameters, staging, stateHome } from "./buffers.js";
import { ScheduleBuilder } from "./builder.js";
import { checkConfiguration, type TrainingConfiguration } from "./configuration.js";
import { planModelPhases } from "./model-phases.js";
import { type Access, content, type Schedule, stateQuantities } from "./task.js";
import {
	gradients,
	planHostUpdate,
	planNorm,
	planResidentUpdate,
	staged,
	stagedState,
	type UpdateContext,
} from "./update.js";
import { endIteration } from "./zero-offload.js";

/** Where each subgroup is updated, and with what. */
export interface InterleavedPlan {
	readonly planner: string;
	/** Subgroups whose state lives on the device. */
	readonly resident: ReadonlySet<number>;
	/** Offloaded subgroups that are updated on the device. */
	readonly onDevice: ReadonlySet<number>;
	/** Staging buffers on the device, each for the state of one subgroup; at least 1. */
	readonly deviceSlots: number;
	/** Pinned buffers on the host for bf16 parameters on their way up; at least 1. */
	readonly hostSlots: number;
	/** One pass on the host for unscale, Adam and bf16 out, instead of two and a downscale thread. */
	readonly fusedHostPass: boolean;
}

/**
 * Writes an interleaved iteration down.
 *
 * @throws {OctavoError} ERR_OCTAVO_CONFIGURATION
 */
export function planInterleaved(configuration: TrainingConfiguration, plan: InterleavedPlan): Schedule {
	checkConfiguration(configuration);
	const builder = new ScheduleBuilder(plan.planner, configuration);
	const gradientPlace = (subgroup: number) =>
		plan.resident.has(subgroup) || plan.onDevice.has(subgroup)
			? ({ place: "device", bytes: plan.resident.has(subgroup) ? 4 : 2 } as const)
			: ({ place: "host", bytes: 4 } as const);
	const phases = planModelPhases(builder, { gradientPlace, flush: "pinned" });
	const planner = new InterleavedUpdate({ builder, phases, gradientPlace }, plan);
	return endIteration(builder, planner.plan());
}

class InterleavedUpdate {
	readonly #norm: string;
	/** Last user of each slot, tensor by tensor, which the next must wait for. */
	readonly #slotUsers = new Map<string, string[]>();
	#numStaged = 0;
	#numUploads = 0;

	constructor(
		private readonly context: UpdateContext,
		private readonly options: InterleavedPlan,
	) {
		this.#norm = planNorm(context);
	}

	plan(): string[] {
		const ends = [this.#norm];
		const { subgroupNumels } = this.context.builder.configuration;
		for (let subgroup = 0; subgroup < subgroupNumels.length; subgroup++) {
			if (this.options.resident.has(subgroup)) {
				ends.push(planResidentUpdate(this.context, subgroup, [this.#norm]));
			} else if (this.options.onDevice.has(subgroup)) {
				ends.push(...this.#visitDevice(subgroup));
			} else {
				ends.push(this.#upload(subgroup, this.options.fusedHostPass));
			}
		}
		return ends;
	}

	/** Prefetch, update on the device, write back: one stream a tensor, so that both directions overlap. */
	#visitDevice(subgroup: number): string[] {
		const { builder } = this.context;
		const slot = this.#numStaged++ % this.options.deviceSlots;
		const elements = builder.configuration.subgroupNumels[subgroup]!;
		const home = { old: stateHome(builder, subgroup, "host", "old"), new: stateHome(builder, subgroup, "host", "new") };
		const stage = {
			old: stagedState(builder, subgroup, slot, "old"),
			new: stagedState(builder, subgroup, slot, "new"),
		};
		const place = { subgroup, elements } as const;
		const prefetches = this.#copyState("prefetch", subgroup, home.old, stage.old, (quantity) => [
			this.#norm,
			...(this.#slotUsers.get(`${quantity}.${slot}`) ?? []),
		]);
		const stagedGradient = staged(builder, "gradient", subgroup, slot, "sum");
		const upcast = builder.task({
			...place,
			id: `upcast[${subgroup}]`,
			kind: "upcast",
			bytes: 6 * elements,
			stream: "compute",
			resource: "device",
			reads: gradients(this.context, subgroup, "sum"),
			writes: [stagedGradient],
			after: [this.#norm, ...(this.#slotUsers.get(`gradient.${slot}`) ?? [])],
		});
		const update = builder.task({
			...place,
			id: `device-update[${subgroup}]`,
			kind: "device-update",
			bytes: 28 * elements,
			stream: "compute",
			resource: "device",
			reads: [...stage.old, stagedGradient],
			writes: stage.new,
			after: [upcast, ...prefetches],
		});
		const cast = builder.task({
			...place,
			id: `cast[${subgroup}]`,
			kind: "cast",
			bytes: 6 * elements,
			stream: "compute",
			resource: "device",
			reads: [stage.new[0]!],
			writes: [parameters(builder, subgroup, "new")],
			after: [update],
		});
		const writeBacks = this.#copyState("write-back", subgroup, stage.new, home.new, () => [update]);
		for (const [i, quantity] of stateQuantities.entries()) {
			this.#slotUsers.set(`${quantity}.${slot}`, quantity === "master" ? [writeBacks[i]!, cast] : [writeBacks[i]!]);
		}
		this.#slotUsers.set(`gradient.${slot}`, [update]);
		return [cast, ...writeBacks];
	}

	/** One copy a tensor of a subgroup's state. */
	#copyState(
		kind: "prefetch" | "write-back",
		subgroup: number,
		from: readonly Access[],
		to: readonly Access[],
		after: (quantity: string) => string[],
	): string[] {
		const { builder } = this.context;
		const elements = builder.configuration.subgroupNumels[subgroup]!;
		const isIn = kind === "prefetch";
		return stateQuantities.map((quantity, i) =>
			builder.task({
				id: `${kind}[${subgroup}].${quantity}`,
				kind,
				subgroup,
				elements,
				bytes: 4 * elements,
				stream: `copy-${isIn ? "in" : "out"}-${quantity}`,
				resource: isIn ? "h2d" : "d2h",
				reads: [from[i]!],
				writes: [to[i]!],
				after: after(quantity),
			}),
		);
	}

	/** Updates on the host and sends the bf16 parameters up through a pinned buffer. */
	#upload(subgroup: number, fused: boolean): string {
		const { builder } = this.context;
		const elements = builder.configuration.subgroupNumels[subgroup]!;
		const largest = Math.max(...builder.configuration.subgroupNumels);
		const slot = this.#numUploads++ % this.options.hostSlots;
		const pinned = access(
			staging(builder, "host", "parameter", slot, 2 * largest),
			content("parameter", subgroup, "new"),
		);
		const free = this.#slotUsers.get(`upload.${slot}`) ?? [];
		const converted = fused
			? this.#fusedUpdate(subgroup, pinned, free)
			: builder.task({
					id: `downscale[${subgroup}]`,
					kind: "downscale",
					subgroup,
					elements,
					bytes: 6 * elements,
					stream: "downscale",
					resource: "host",
					reads: [stateHome(builder, subgroup, "host", "new")[0]!],
					writes: [pinned],
					after: [planHostUpdate(this.context, subgroup, [this.#norm]), ...free],
				});
		const upload = builder.task({
			id: `upload[${subgroup}]`,
			kind: "upload",
			subgroup,
			elements,
			bytes: 2 * elements,
			stream: "upload",
			resource: "h2d",
			reads: [pinned],
			writes: [parameters(builder, subgroup, "new")],
			after: [converted],
		});
		this.#slotUsers.set(`upload.${slot}`, [upload]);
		return upload;
	}

	#fusedUpdate(subgroup: number, pinned: ReturnType<typeof access>, free: readonly string[]): string {
		const { builder, phases } = this.context;
		const elements = builder.configuration.subgroupNumels[subgroup]!;
		const parts = gradientParts(phases.buckets, subgroup);
		return builder.task({
			id: `fused-update[${subgroup}]`,
			kind: "fused-update",
			subgroup,
			elements,
			bytes: 30 * elements,
			stream: "host",
			resource: "host",
			reads: [
				...stateHome(builder, subgroup, "host", "old"),
				...parts.map((part) => gradient(builder, part, "host", 4, "sum")),
			],
			writes: [...stateHome(builder, subgroup, "host", "new"), pinned],
			after: [this.#norm, ...free],
		});
	}
}
