// From a full bucket to gradients in their places: reduce over the ranks, add earlier micro-steps from the host's
// accumulator, and at the last micro-step flush each subgroup's part. Two buckets are in flight at most, as each uses
// one of two buffers.

import type { Bucket, GradientPart } from "./buckets.js";
import { access, gradient } from "./buffers.js";
import type { ScheduleBuilder } from "./builder.js";
import { countParameters, partitionElements } from "./configuration.js";
import type { Access } from "./task.js";

/** Where gradients go, and the habits of the published code. */
export interface ModelPhaseOptions {
	/** Where a subgroup's gradient waits for its update, and in how many bytes a parameter. */
	readonly gradientPlace: (subgroup: number) => { place: "host" | "device"; bytes: 2 | 4 };
	/** `pageable`: the host converts and is blocked; `pinned`: the device converts, the copy is asynchronous. */
	readonly flush: "pageable" | "pinned";
	/**
	 * As the authors' code ran: each micro-step's gradient makes a round trip to the host, the host waits at every
	 * phase's end and gives cached memory back, and a part of the asynchronous flush stalls backward. Default false.
	 */
	readonly asPublished?: boolean;
}

/** Where backward puts a bucket's gradients. */
export interface BucketInput {
	readonly slot: number;
	readonly raw: Access;
	/** Task after which the buffer may be written again. */
	readonly free: string | undefined;
}

/** What follows a bucket. */
export interface ReducedBucket {
	/** Task that backward has to wait for, where it does. */
	readonly stall: string | undefined;
	/** Task that the next launch has to wait for, where it does. */
	readonly fetched: string | undefined;
	/** Tasks after which the bucket's gradients are in their places. */
	readonly ends: readonly string[];
}

/** Plans what happens to each bucket. */
export class ReductionPlanner {
	/** Every part of the gradients, where it was put. */
	readonly gradients: Access[] = [];
	readonly #lastUse = new Map<string, string>();
	readonly #users = new Map<string, string[]>();
	readonly #slotBytes: number;
	#numBuckets = 0;

	constructor(
		private readonly builder: ScheduleBuilder,
		private readonly options: ModelPhaseOptions,
	) {
		const { configuration } = builder;
		const scale = partitionElements(configuration) / countParameters(configuration.model);
		const bucketElements = configuration.bucketElements * configuration.tensorParallel;
		this.#slotBytes = Math.ceil(2 * bucketElements * scale) + 2;
	}

	/** The buffer that backward fills for a bucket. */
	input(bucket: Bucket, microStep: number): BucketInput {
		const slot = this.#numBuckets++ % 2;
		const bytes = 2 * this.builder.configuration.bucketElements;
		const buffer = this.builder.buffer({ id: `device.bucket-input[${slot}]`, place: "device", bytes });
		return { slot, raw: access(buffer, `bucket:${bucket.index}.${microStep}:raw`), free: this.#lastUse.get(buffer) };
	}

	/**
	 * Plans a bucket from its reduction to its places.
	 *
	 * @param after the backward task that fills its last piece
	 */
	reduce(bucket: Bucket, microStep: number, input: BucketInput, after: string): ReducedBucket {
		const sum = access(this.#slot("bucket", input.slot), `bucket:${bucket.index}.${microStep}:sum`);
		const task = this.#sum(bucket, microStep, input, sum, after);
		const last = microStep === this.builder.configuration.gradientAccumulation - 1;
		const { asPublished = false } = this.options;
		const ends: string[] = [];
		let stall: string | undefined;
		for (const part of last ? bucket.parts : []) {
			const flush = this.#flush(part, microStep, sum, task);
			ends.push(flush);
			const onHost = this.options.gradientPlace(part.subgroup).place === "host";
			if (onHost && (asPublished || this.options.flush === "pageable")) stall = flush;
		}
		if (!last || asPublished) ends.push(this.#store(bucket, microStep, sum, task));
		this.#users.set(sum.buffer, ends);
		return { stall, fetched: asPublished && microStep > 0 ? task : undefined, ends };
	}

	#slot(name: string, slot: number): string {
		return this.builder.buffer({ id: `device.${name}[${slot}]`, place: "device", bytes: this.#slotBytes });
	}

	#accumulator(bucket: Bucket): string {
		const bytes = 2 * bucket.elements;
		return this.builder.buffer({ id: `host.accumulator[${bucket.index}]`, place: "host", bytes });
	}

	/** Reduces over the ranks, and adds what earlier micro-steps left on the host. Gives the last task. */
	#sum(bucket: Bucket, microStep: number, { slot, raw }: BucketInput, sum: Access, after: string): string {
		const { builder } = this;
		const { dataParallel, numNodes } = builder.configuration;
		const place = { phase: "backward", microStep, elements: bucket.elements } as const;
		const of = `${microStep}.${bucket.index}`;
		const partial = microStep === 0 ? sum : access(sum.buffer, `bucket:${bucket.index}.${microStep}:part`);
		const reduce = builder.task({
			id: `reduce[${of}]`,
			kind: "reduce",
			...place,
			stream: dataParallel === 1 ? "reduce" : numNodes > 1 ? "collective" : "compute",
			resource: "collective",
			bytes: 2 * bucket.elements * (dataParallel - 1),
			reads: [raw],
			writes: [partial],
			after: [after, ...(this.#users.get(sum.buffer) ?? [])],
		});
		this.#lastUse.set(raw.buffer, reduce);
		if (microStep === 0) return reduce;
		const fetched = access(this.#slot("fetched", slot), `bucket:${bucket.index}.${microStep - 1}:sum`);
		const fetch = builder.task({
			id: `fetch-gradient[${of}]`,
			kind: "fetch-gradient",
			...place,
			stream: "accumulate-in",
			resource: "h2d",
			bytes: 2 * bucket.elements,
			reads: [access(this.#accumulator(bucket), fetched.content)],
			writes: [fetched],
			after: [reduce, this.#lastUse.get(`store[${bucket.index}]`), this.#lastUse.get(fetched.buffer)],
		});
		const accumulate = builder.task({
			id: `accumulate[${of}]`,
			kind: "accumulate",
			...place,
			stream: "reduce",
			resource: "device",
			bytes: 6 * bucket.elements,
			reads: [partial, fetched],
			writes: [sum],
			after: [fetch],
		});
		this.#lastUse.set(fetched.buffer, accumulate);
		return accumulate;
	}

	/** Sends one subgroup's part of a bucket to its place. */
	#flush(part: GradientPart, microStep: number, sum: Access, after: string): string {
		const { place, bytes } = this.options.gradientPlace(part.subgroup);
		const target = gradient(this.builder, part, place, bytes, "sum");
		this.gradients.push(target);
		const ways = {
			keep: { kind: "keep-gradient", stream: "reduce", resource: "device", bytes: 2 + bytes },
			pageable: { kind: "pageable-flush", stream: "host", resource: "host", bytes: 2 },
			pinned: { kind: "gradient-flush", stream: "gradient-out", resource: "d2h", bytes },
		} as const;
		const way = ways[place === "device" ? "keep" : this.options.flush];
		return this.builder.task({
			...way,
			id: `${way.kind}[${part.subgroup}.${part.part}]`,
			phase: "backward",
			microStep,
			subgroup: part.subgroup,
			elements: part.elements,
			bytes: way.bytes * part.elements,
			reads: [sum],
			writes: [target],
			after: [after],
		});
	}

	#store(bucket: Bucket, microStep: number, sum: Access, after: string): string {
		const store = this.builder.task({
			id: `store-gradient[${microStep}.${bucket.index}]`,
			kind: "store-gradient",
			phase: "backward",
			microStep,
			stream: "gradient-out",
			resource: "d2h",
			elements: bucket.elements,
			bytes: 2 * bucket.elements,
			reads: [sum],
			writes: [access(this.#accumulator(bucket), sum.content)],
			after: [after],
		});
		this.#lastUse.set(`store[${bucket.index}]`, store);
		return store;
	}
}
