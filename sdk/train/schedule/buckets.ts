// Which gradients a reduction bucket brings, and when. Backward meets the parameters last to first; a bucket closes
// every `bucketElements`, wherever in a layer or subgroup that is, so both are cut into pieces at bucket borders.

import { type LayerUnit, layerUnits, partitionElements, type TrainingConfiguration } from "./configuration.js";

/** Part of a subgroup whose gradient one bucket brings. */
export interface GradientPart {
	readonly subgroup: number;
	/** Running number in the subgroup, in the order of backward. */
	readonly part: number;
	/** Parameters of this rank. */
	readonly elements: number;
}

/** Part of a layer whose backward fills one bucket. */
export interface LayerPiece {
	readonly unit: LayerUnit;
	/** Running number in the layer, in the order of backward. */
	readonly piece: number;
	/** Share of the layer's elements, above 0 and at most 1. */
	readonly share: number;
}

/** One reduction. */
export interface Bucket {
	readonly index: number;
	/** Parameters of this rank. */
	readonly elements: number;
	readonly pieces: readonly LayerPiece[];
	readonly parts: readonly GradientPart[];
}

function overlap(from: number, to: number, start: number, end: number): number {
	return Math.min(to, end) - Math.max(from, start);
}

/** Cuts the backward pass into buckets, in its order. */
export function planBuckets(configuration: TrainingConfiguration): Bucket[] {
	const units = layerUnits(configuration.model).reverse();
	const total = units.reduce((sum, unit) => sum + unit.elements, 0);
	const elements = partitionElements(configuration);
	const scale = elements / total;
	const subgroups = configuration.subgroupNumels.map((numel, subgroup) => ({ numel, subgroup })).reverse();
	// Tensor-parallel ranks hold a share of each layer, so a bucket of theirs covers more of the whole model.
	const bucketElements = configuration.bucketElements * configuration.tensorParallel;
	const numBuckets = Math.max(1, Math.ceil((total - 0.5) / bucketElements));
	const numPieces = new Map<number, number>();
	const numParts = new Map<number, number>();
	const next = (counts: Map<number, number>, key: number): number => {
		const count = counts.get(key) ?? 0;
		counts.set(key, count + 1);
		return count;
	};
	return Array.from({ length: numBuckets }, (_, index) => {
		const from = index * bucketElements;
		const to = Math.min(total, from + bucketElements);
		const pieces: LayerPiece[] = [];
		let start = 0;
		for (const unit of units) {
			const covered = overlap(from, to, start, start + unit.elements);
			if (covered > 0) pieces.push({ unit, piece: next(numPieces, unit.layer), share: covered / unit.elements });
			start += unit.elements;
		}
		const parts: GradientPart[] = [];
		start = 0;
		for (const { numel, subgroup } of subgroups) {
			const covered = overlap(Math.round(from * scale), Math.round(to * scale), start, start + numel);
			if (covered > 0) parts.push({ subgroup, part: next(numParts, subgroup), elements: covered });
			start += numel;
		}
		return { index, elements: parts.reduce((sum, part) => sum + part.elements, 0), pieces, parts };
	});
}

/** Parts of each subgroup's gradient, in the order of backward. */
export function gradientParts(buckets: readonly Bucket[], subgroup: number): GradientPart[] {
	return buckets.flatMap((bucket) => bucket.parts.filter((part) => part.subgroup === subgroup));
}
