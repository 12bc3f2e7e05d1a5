// The schedule format: one rank's training iteration as plain data. The same value is checked, simulated, stepped
// through and executed. Every access names the content it expects or leaves, so that a buffer that still holds another
// subgroup's state is an error that a checker can find, not a wrong number.

import type { TrainingConfiguration } from "./configuration.js";

/** Parts of an iteration, in order. */
export type Phase = "forward" | "backward" | "update";

/**
 * What a task does.
 *
 * - `launch`: the host enqueues a layer's device work; `gather`, `reduce`: parameters gathered, gradients reduced
 *   and scattered over the ranks; `forward`, `backward`: a layer's device work
 * - `fetch-gradient`, `accumulate`, `store-gradient`: a micro-step's reduced gradient through the host's accumulator
 * - `gradient-flush`: gradients device → host, fp32 through pinned memory; `pageable-flush`: bf16 into a pageable
 *   buffer and converted by a host core, the host blocked; `keep-gradient`: a device → device copy
 * - `norm`: the global gradient norm, known after all gradients and before any update
 * - `unscale`, `host-update`, `device-update`, `fused-update` (unscale, Adam and bf16 out in one pass on the host)
 * - `prefetch`, `write-back`: optimizer state host → device, device → host
 * - `downscale`: fp32 → bf16 on the host; `cast`: on the device; `upload`: bf16 parameters host → device from pinned
 *   memory; `pageable-upload`: downscale and upload in one blocking call
 * - `upcast`: bf16 gradient → fp32 on the device; `wait`: the host waits; `release`: the host waits for the device and
 *   gives cached device memory back
 */
export type TaskKind =
	| "launch"
	| "gather"
	| "reduce"
	| "forward"
	| "backward"
	| "fetch-gradient"
	| "accumulate"
	| "store-gradient"
	| "gradient-flush"
	| "pageable-flush"
	| "keep-gradient"
	| "norm"
	| "unscale"
	| "host-update"
	| "fused-update"
	| "device-update"
	| "prefetch"
	| "write-back"
	| "downscale"
	| "cast"
	| "upload"
	| "pageable-upload"
	| "upcast"
	| "wait"
	| "release";

/** What does the work: device cores, host cores, one copy engine a direction, the links between devices. */
export type Resource = "device" | "host" | "h2d" | "d2h" | "collective";

/** One use of a buffer. */
export interface Access {
	/** `id` of a buffer of the schedule. */
	readonly buffer: string;
	/** What it must hold when read, or holds when written: see `content()`. */
	readonly content: string;
}

/** One node of a schedule. */
export interface Task {
	/** Unique in the schedule, readable: `prefetch[3].momentum`. */
	readonly id: string;
	/** What it does. */
	readonly kind: TaskKind;
	/** Phase of the iteration. */
	readonly phase: Phase;
	/** Micro-step of gradient accumulation, from 0; 0 in the update. */
	readonly microStep: number;
	/** Layer from 0; -1 is the embedding and the number of layers is the head. Absent when the task is of no layer. */
	readonly layer?: number;
	/** Subgroup from 0. Absent when the task is of no one subgroup. */
	readonly subgroup?: number;
	/** Lane: tasks of one stream run in the order of the list, one at a time. */
	readonly stream: string;
	/** What it runs on. */
	readonly resource: Resource;
	/** Parameters of this rank's partition that it works on. */
	readonly elements: number;
	/** Bytes it moves: over its link, or through the memory of the processor that runs it. */
	readonly bytes: number;
	/** Floating point operations, for `forward` and `backward`; otherwise 0. */
	readonly flops: number;
	/** What it reads, and which content it expects there. */
	readonly reads: readonly Access[];
	/** What it writes, and which content it leaves there. */
	readonly writes: readonly Access[];
	/** Ids of the tasks that must have ended, beside the one before it on its stream. */
	readonly after: readonly string[];
}

/** Memory that tasks use: live from the start of its first task to the end of its last, unless `initial` or `kept`. */
export interface BufferPlan {
	/** Name, unique in the schedule. */
	readonly id: string;
	/** Where it is. */
	readonly place: "device" | "host";
	/** Its size. */
	readonly bytes: number;
	/** Content before the first task; absent: nothing that may be read. */
	readonly initial?: string;
	/** Content that it must hold after the last task; absent: any. */
	readonly final?: string;
}

/** One rank's iteration. Every rank runs the same schedule on its own partition (ranks are symmetric). */
export interface Schedule {
	/** Name of the planner, for captions. */
	readonly planner: string;
	/** What is trained. */
	readonly configuration: TrainingConfiguration;
	/** Memory that tasks use. */
	readonly buffers: readonly BufferPlan[];
	/** In an order in which they may be launched. */
	readonly tasks: readonly Task[];
}

/** Quantities that a buffer can hold of a subgroup. */
export type Quantity = "master" | "momentum" | "variance" | "gradient" | "parameter";

/** Optimizer state: 4 bytes a parameter each. */
export const stateQuantities = ["master", "momentum", "variance"] as const;

/** State and parameters before and after this iteration's update; gradients as summed and after unscaling. */
export type Version = "old" | "new" | "sum" | "unscaled";

/**
 * Names a content: `momentum:3:old` is the momentum of subgroup 3 before this iteration's update.
 *
 * @param part for gradients: the piece of the subgroup that one reduction bucket brought, from 0
 */
export function content(quantity: Quantity, subgroup: number, version: Version, part?: number): string {
	return part === undefined ? `${quantity}:${subgroup}:${version}` : `${quantity}:${subgroup}.${part}:${version}`;
}

/** A content's name taken apart. */
export interface Content {
	readonly quantity: Quantity;
	readonly subgroup: number;
	readonly version: Version;
}

/** Takes a content's name apart; undefined when it is not of a subgroup (a bucket, a layer's weights). */
export function parseContent(name: string): Content | undefined {
	const [quantity = "", which = "", version = ""] = name.split(":");
	const known = ["master", "momentum", "variance", "gradient", "parameter"];
	if (!known.includes(quantity)) return undefined;
	return { quantity: quantity as Quantity, subgroup: Number(which.split(".")[0]), version: version as Version };
}
