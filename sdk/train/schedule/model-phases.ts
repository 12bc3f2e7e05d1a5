// Forward and backward of every micro-step, the same for all planners but for where each gradient goes. On one node a
// collective runs on the compute stream, as its kernels take the device's cores; over nodes the network is the slower
// part and has a stream of its own.

import { type Bucket, planBuckets } from "./buckets.js";
import { access, gradient, parameters } from "./buffers.js";
import type { ScheduleBuilder } from "./builder.js";
import { type LayerUnit, layerUnits, partitionElements } from "./configuration.js";
import type { Access, Phase } from "./task.js";

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

/** What the update needs from the phases before it. */
export interface ModelPhases {
	readonly buckets: readonly Bucket[];
	/** The task after which every gradient is in its place. */
	readonly end: string;
	readonly gradients: readonly Access[];
}

const attentionBytes = 8;

/** Writes down forward and backward. */
export function planModelPhases(builder: ScheduleBuilder, options: ModelPhaseOptions): ModelPhases {
	const planner = new PhasePlanner(builder, options);
	const steps = builder.configuration.gradientAccumulation;
	let end: string | undefined;
	for (let microStep = 0; microStep < steps; microStep++) {
		end = planner.forward(microStep, end);
		end = planner.backward(microStep, end);
	}
	return { buckets: planner.buckets, end: end!, gradients: planner.gradients };
}

class PhasePlanner {
	readonly buckets: Bucket[];
	readonly gradients: Access[] = [];
	readonly #units: LayerUnit[];
	readonly #lastUse = new Map<string, string>();
	readonly #gatherStream: string;
	readonly #dataParallel: number;
	readonly #subgroupsOf = new Map<number, number[]>();
	readonly #launches: (string | undefined)[] = [];
	#numGathers = 0;
	#numBuckets = 0;

	constructor(
		private readonly builder: ScheduleBuilder,
		private readonly options: ModelPhaseOptions,
	) {
		const { configuration } = builder;
		this.buckets = planBuckets(configuration);
		this.#units = layerUnits(configuration.model);
		this.#gatherStream = configuration.numNodes > 1 ? "collective" : "compute";
		this.#dataParallel = configuration.dataParallel;
		for (const { pieces, parts } of this.buckets) {
			for (const { unit } of pieces) {
				const list = this.#subgroupsOf.get(unit.layer) ?? [];
				this.#subgroupsOf.set(unit.layer, [...new Set([...list, ...parts.map((part) => part.subgroup)])]);
			}
		}
	}

	forward(microStep: number, after: string | undefined): string {
		for (const unit of this.#units) {
			const launch = this.#launch(unit, "forward", microStep, [after]);
			const [weights, gathered] = this.#gather(unit, "forward", microStep, launch);
			this.#compute(unit, "forward", microStep, 1, `forward[${microStep}.${unit.layer}]`, weights, [launch, gathered]);
		}
		return this.#endPhase("forward", microStep, []);
	}

	backward(microStep: number, after: string | undefined): string {
		let stall = after;
		let fetched: string | undefined;
		let weights: Access[] = [];
		let gathered: string | undefined;
		let launch: string | undefined;
		const ends: string[] = [];
		for (const bucket of this.buckets) {
			const slot = this.#numBuckets++ % 2;
			const raw = this.#bucketInput(slot);
			const rawContent = `bucket:${bucket.index}.${microStep}:raw`;
			for (const { unit, piece, share } of bucket.pieces) {
				if (piece === 0) {
					launch = this.#launch(unit, "backward", microStep, [stall, fetched]);
					[weights, gathered] = this.#gather(unit, "backward", microStep, launch);
				}
				const id = `backward[${microStep}.${unit.layer}.${piece}]`;
				const waits = [launch, gathered, stall, this.#lastUse.get(raw)];
				this.#compute(unit, "backward", microStep, share, id, weights, waits, access(raw, rawContent));
			}
			const reduced = this.#reduce(bucket, microStep, slot, access(raw, rawContent));
			const { stall: flushed, ends: collected } = this.#collect(bucket, microStep, reduced);
			stall = flushed;
			fetched = this.options.asPublished && microStep > 0 ? reduced.task : undefined;
			ends.push(...collected);
		}
		return this.#endPhase("backward", microStep, ends);
	}

	/** Host work of a layer's launch; embedding and head are part of their neighbours'. */
	#launch(unit: LayerUnit, phase: Phase, microStep: number, after: (string | undefined)[]) {
		if (unit.layer < 0 || unit.layer >= this.builder.configuration.model.numLayers) return after[0];
		const id = `launch-${phase}[${microStep}.${unit.layer}]`;
		const place = { phase, microStep, layer: unit.layer };
		return this.builder.task({ id, kind: "launch", ...place, stream: "host", resource: "host", after });
	}

	/**
	 * Parameters of a layer: the rank's own when it is alone, else gathered into one of three buffers. Over nodes the
	 * gather is enqueued two launches ahead.
	 */
	#gather(
		unit: LayerUnit,
		phase: Phase,
		microStep: number,
		after: string | undefined,
	): [weights: Access[], task: string | undefined] {
		const owned = (this.#subgroupsOf.get(unit.layer) ?? []).map((s) => parameters(this.builder, s, "old"));
		if (this.#dataParallel === 1 && !this.options.asPublished) return [owned, after];
		const bytes = 2 * Math.max(...this.#units.map((other) => other.elements));
		const buffer = this.builder.buffer({
			id: `device.gathered[${this.#numGathers++ % 3}]`,
			place: "device",
			bytes,
		});
		const weights = [access(buffer, `layer:${unit.layer}`)];
		const ahead = this.#gatherStream === "collective" ? this.#launches.at(-3) : after;
		if (after !== this.#launches.at(-1)) this.#launches.push(after);
		const task = this.builder.task({
			id: `gather-${phase}[${microStep}.${unit.layer}]`,
			kind: "gather",
			phase,
			microStep,
			layer: unit.layer,
			stream: this.#gatherStream,
			resource: "collective",
			bytes: (2 * unit.elements * (this.#dataParallel - 1)) / this.#dataParallel,
			reads: owned,
			writes: weights,
			after: [ahead, this.#lastUse.get(buffer)],
		});
		return [weights, task];
	}

	#compute(
		unit: LayerUnit,
		phase: "forward" | "backward",
		microStep: number,
		share: number,
		id: string,
		weights: readonly Access[],
		after: readonly (string | undefined)[],
		output?: Access,
	): void {
		const { model, microBatchSize, tensorParallel } = this.builder.configuration;
		const tokens = microBatchSize * model.sequenceLength;
		const isLayer = unit.layer >= 0 && unit.layer < model.numLayers;
		const scores = isLayer ? microBatchSize * model.numHeads * model.sequenceLength ** 2 : 0;
		const attentionFlops = isLayer ? 4 * tokens * model.sequenceLength * model.hiddenSize : 0;
		// Backward repeats a layer's forward (activation checkpointing) and costs twice that; the head is not repeated.
		const passes = phase === "forward" ? 1 : isLayer ? 3 : 2;
		const activations = access(this.#activations(), `activations:${microStep}`);
		const task = this.builder.task({
			id,
			kind: phase,
			phase,
			microStep,
			layer: unit.layer,
			stream: "compute",
			resource: "device",
			bytes: (share * passes * scores * attentionBytes) / tensorParallel,
			flops: (share * passes * (2 * tokens * unit.matmulElements + attentionFlops)) / tensorParallel,
			reads: phase === "backward" ? [...weights, activations] : weights,
			writes: output ? [output] : [activations],
			after,
		});
		for (const { buffer } of weights) this.#lastUse.set(buffer, task);
	}

	#activations(): string {
		const { model, microBatchSize, tensorParallel } = this.builder.configuration;
		const tokens = microBatchSize * model.sequenceLength;
		const logits = (2 * tokens * model.vocabularySize) / tensorParallel;
		const bytes = 2 * tokens * model.hiddenSize * model.numLayers + logits;
		return this.builder.buffer({ id: "device.activations", place: "device", bytes });
	}

	#bucketInput(slot: number): string {
		const bytes = 2 * this.builder.configuration.bucketElements;
		return this.builder.buffer({ id: `device.bucket-input[${slot}]`, place: "device", bytes });
	}

	/** Reduces a bucket over the ranks and adds what earlier micro-steps left on the host. */
	#reduce(bucket: Bucket, microStep: number, slot: number, raw: Access): { task: string; sum: Access } {
		const { builder } = this;
		const { configuration } = builder;
		const scale = partitionElements(configuration) / this.#units.reduce((sum, unit) => sum + unit.elements, 0);
		const largest = Math.ceil(2 * configuration.bucketElements * scale) + 2;
		const buffer = builder.buffer({ id: `device.bucket[${slot}]`, place: "device", bytes: largest });
		const place = { phase: "backward", microStep, elements: bucket.elements } as const;
		const of = `${microStep}.${bucket.index}`;
		const sum = access(buffer, `bucket:${bucket.index}.${microStep}:sum`);
		const partial = microStep === 0 ? sum : access(buffer, `bucket:${bucket.index}.${microStep}:part`);
		let task = builder.task({
			id: `reduce[${of}]`,
			kind: "reduce",
			...place,
			stream: this.#dataParallel === 1 ? "reduce" : this.#gatherStream,
			resource: "collective",
			bytes: 2 * bucket.elements * (this.#dataParallel - 1),
			reads: [raw],
			writes: [partial],
			after: [this.#lastCompute(bucket, microStep), ...(this.#users.get(buffer) ?? [])],
		});
		this.#lastUse.set(raw.buffer, task);
		this.#users.set(buffer, []);
		if (microStep > 0) {
			const fetched = builder.buffer({ id: `device.fetched[${slot}]`, place: "device", bytes: largest });
			const before = `bucket:${bucket.index}.${microStep - 1}:sum`;
			const fetch = builder.task({
				id: `fetch-gradient[${of}]`,
				kind: "fetch-gradient",
				...place,
				stream: "accumulate-in",
				resource: "h2d",
				bytes: 2 * bucket.elements,
				reads: [access(this.#accumulator(bucket), before)],
				writes: [access(fetched, before)],
				after: [task, this.#lastUse.get(`store[${bucket.index}]`), this.#lastUse.get(fetched)],
			});
			task = builder.task({
				id: `accumulate[${of}]`,
				kind: "accumulate",
				...place,
				stream: "reduce",
				resource: "device",
				bytes: 6 * bucket.elements,
				reads: [partial, access(fetched, before)],
				writes: [sum],
				after: [fetch],
			});
			this.#lastUse.set(fetched, task);
		}
		return { task, sum };
	}

	readonly #users = new Map<string, string[]>();

	#lastCompute(bucket: Bucket, microStep: number): string {
		const { unit, piece } = bucket.pieces.at(-1)!;
		return `backward[${microStep}.${unit.layer}.${piece}]`;
	}

	#accumulator(bucket: Bucket): string {
		return this.builder.buffer({
			id: `host.accumulator[${bucket.index}]`,
			place: "host",
			bytes: 2 * bucket.elements,
		});
	}

	/** Sends a bucket where it belongs: to the accumulator, and at the last micro-step to its subgroups. */
	#collect(bucket: Bucket, microStep: number, reduced: { task: string; sum: Access }) {
		const { builder } = this;
		const last = microStep === builder.configuration.gradientAccumulation - 1;
		const ends: string[] = [];
		let stall: string | undefined;
		const users: string[] = [];
		for (const part of last ? bucket.parts : []) {
			const { place, bytes } = this.options.gradientPlace(part.subgroup);
			const target = gradient(builder, part, place, bytes, "sum");
			this.gradients.push(target);
			const pageable = place === "host" && this.options.flush === "pageable";
			const kind = place === "device" ? "keep-gradient" : pageable ? "pageable-flush" : "gradient-flush";
			const flush = builder.task({
				id: `${kind}[${part.subgroup}.${part.part}]`,
				kind,
				phase: "backward",
				microStep,
				subgroup: part.subgroup,
				stream: place === "device" ? "reduce" : pageable ? "host" : "gradient-out",
				resource: place === "device" ? "device" : pageable ? "host" : "d2h",
				elements: part.elements,
				bytes: (pageable ? 2 : place === "device" ? 2 + bytes : bytes) * part.elements,
				reads: [reduced.sum],
				writes: [target],
				after: [reduced.task],
			});
			users.push(flush);
			if (pageable || (this.options.asPublished && place === "host")) stall = flush;
		}
		if (!last || this.options.asPublished) {
			const store = builder.task({
				id: `store-gradient[${microStep}.${bucket.index}]`,
				kind: "store-gradient",
				phase: "backward",
				microStep,
				stream: "gradient-out",
				resource: "d2h",
				elements: bucket.elements,
				bytes: 2 * bucket.elements,
				reads: [reduced.sum],
				writes: [access(this.#accumulator(bucket), reduced.sum.content)],
				after: [reduced.task],
			});
			this.#lastUse.set(`store[${bucket.index}]`, store);
			users.push(store);
		}
		this.#users.set(reduced.sum.buffer, users);
		ends.push(...users);
		return { stall, ends };
	}

	/** Published code waits for everything at a phase's end and empties the allocator's cache. */
	#endPhase(phase: "forward" | "backward", microStep: number, ends: readonly string[]): string {
		const place = { phase, microStep, stream: "host", resource: "host" } as const;
		const last = phase === "forward" ? `forward[${microStep}.${this.#units.at(-1)!.layer}]` : undefined;
		const end = this.builder.task({ id: `end-${phase}[${microStep}]`, kind: "wait", ...place, after: [last, ...ends] });
		if (!this.options.asPublished) return end;
		return this.builder.task({ id: `release-${phase}[${microStep}]`, kind: "release", ...place, after: [end] });
	}
}
