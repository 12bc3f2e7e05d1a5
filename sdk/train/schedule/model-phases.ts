// Forward and backward of every micro-step, the same for all planners but for where each gradient goes. On one node a
// collective runs on the compute stream, as its kernels take the device's cores; over nodes the network is the slower
// part and has a stream of its own.

import { type Bucket, planBuckets } from "./buckets.js";
import { access, parameters } from "./buffers.js";
import type { ScheduleBuilder } from "./builder.js";
import { type LayerUnit, layerUnits } from "./configuration.js";
import { type ModelPhaseOptions, ReductionPlanner } from "./reduction.js";
import type { Access, Phase } from "./task.js";

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
	return { buckets: planner.buckets, end: end!, gradients: planner.reduction.gradients };
}

/** Device work of a layer, or of a piece of it. */
interface LayerPass {
	readonly id: string;
	readonly phase: "forward" | "backward";
	readonly microStep: number;
	/** Of the layer's work, above 0 and at most 1. */
	readonly share: number;
	readonly weights: readonly Access[];
	readonly after: readonly (string | undefined)[];
	/** What backward fills; forward leaves activations. */
	readonly output?: Access;
}

class PhasePlanner {
	readonly buckets: Bucket[];
	readonly reduction: ReductionPlanner;
	readonly #units: LayerUnit[];
	readonly #lastUse = new Map<string, string>();
	readonly #gatherStream: string;
	readonly #dataParallel: number;
	readonly #subgroupsOf = new Map<number, number[]>();
	readonly #launches: string[] = [];
	#numGathers = 0;

	constructor(
		private readonly builder: ScheduleBuilder,
		private readonly options: ModelPhaseOptions,
	) {
		const { configuration } = builder;
		this.buckets = planBuckets(configuration);
		this.reduction = new ReductionPlanner(builder, options);
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
			const gate = this.#launch(unit, "forward", microStep, [after]);
			const [weights, gathered] = this.#gather(unit, "forward", microStep, gate);
			const id = `forward[${microStep}.${unit.layer}]`;
			this.#compute(unit, { id, phase: "forward", microStep, share: 1, weights, after: [...gate, gathered] });
		}
		return this.#endPhase("forward", microStep, []);
	}

	backward(microStep: number, after: string | undefined): string {
		let waits: readonly (string | undefined)[] = [after];
		let launchWaits = waits;
		let weights: Access[] = [];
		let gathered: string | undefined;
		let gate: readonly (string | undefined)[] = [];
		const ends: string[] = [];
		for (const bucket of this.buckets) {
			const input = this.reduction.input(bucket, microStep);
			let id = "";
			for (const { unit, piece, share } of bucket.pieces) {
				if (piece === 0) {
					gate = this.#launch(unit, "backward", microStep, launchWaits);
					[weights, gathered] = this.#gather(unit, "backward", microStep, gate);
				}
				id = `backward[${microStep}.${unit.layer}.${piece}]`;
				const after = [...gate, gathered, ...waits, input.free];
				this.#compute(unit, { id, phase: "backward", microStep, share, weights, after, output: input.raw });
			}
			const reduced = this.reduction.reduce(bucket, microStep, input, id);
			waits = [reduced.stall];
			launchWaits = [reduced.stall, reduced.fetched];
			ends.push(...reduced.ends);
		}
		return this.#endPhase("backward", microStep, ends);
	}

	/**
	 * Host work of a layer's launch; embedding and head are part of their neighbours'. Gives what the layer's device work
	 * waits for: it runs while its launch goes on, so that is the launch before.
	 */
	#launch(
		unit: LayerUnit,
		phase: Phase,
		microStep: number,
		after: readonly (string | undefined)[],
	): readonly (string | undefined)[] {
		const gate = [this.#launches.at(-1), ...after];
		if (unit.layer < 0 || unit.layer >= this.builder.configuration.model.numLayers) return gate;
		const id = `launch-${phase}[${microStep}.${unit.layer}]`;
		const place = { phase, microStep, layer: unit.layer };
		this.#launches.push(this.builder.task({ id, kind: "launch", ...place, stream: "host", resource: "host", after }));
		return gate;
	}

	/**
	 * Parameters of a layer: the rank's own when it is alone, else gathered into one of three buffers. Over nodes the
	 * gather is enqueued three launches ahead.
	 */
	#gather(
		unit: LayerUnit,
		phase: Phase,
		microStep: number,
		gate: readonly (string | undefined)[],
	): [weights: Access[], task: string | undefined] {
		const owned = (this.#subgroupsOf.get(unit.layer) ?? []).map((s) => parameters(this.builder, s, "old"));
		if (this.#dataParallel === 1 && !this.options.asPublished) return [owned, undefined];
		const { tensorParallel } = this.builder.configuration;
		const bytes = (2 * Math.max(...this.#units.map((other) => other.elements))) / tensorParallel;
		const buffer = this.builder.buffer({
			id: `device.gathered[${this.#numGathers++ % 3}]`,
			place: "device",
			bytes,
		});
		const weights = [access(buffer, `layer:${unit.layer}`)];
		const ahead = this.#gatherStream === "collective" ? [this.#launches.at(-4)] : gate;
		const task = this.builder.task({
			id: `gather-${phase}[${microStep}.${unit.layer}]`,
			kind: "gather",
			phase,
			microStep,
			layer: unit.layer,
			stream: this.#gatherStream,
			resource: "collective",
			bytes: (2 * unit.elements * (this.#dataParallel - 1)) / (this.#dataParallel * tensorParallel),
			reads: owned,
			writes: weights,
			after: [...ahead, this.#lastUse.get(buffer)],
		});
		return [weights, task];
	}

	#compute(unit: LayerUnit, { id, phase, microStep, share, weights, after, output }: LayerPass): void {
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

	/** Published code waits for everything at a phase's end and empties the allocator's cache. */
	#endPhase(phase: "forward" | "backward", microStep: number, ends: readonly string[]): string {
		const place = { phase, microStep, stream: "host", resource: "host" } as const;
		const last = phase === "forward" ? `forward[${microStep}.${this.#units.at(-1)!.layer}]` : undefined;
		const end = this.builder.task({ id: `end-${phase}[${microStep}]`, kind: "wait", ...place, after: [last, ...ends] });
		if (!this.options.asPublished) return end;
		return this.builder.task({ id: `release-${phase}[${microStep}]`, kind: "release", ...place, after: [end] });
	}
}
