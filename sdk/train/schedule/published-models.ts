// The model shapes of the published runs by nominal size. "7B" has 5.9 billion parameters, as it has grouped-query
// attention and a small vocabulary; everything here counts real parameters.

import { OctavoError, received } from "../../errors.js";
import { anything, checkOptions } from "../../options.js";
import {
	defaultBucketElements,
	defaultVocabularySize,
	formSubgroups,
	type ModelShape,
	parameterNumels,
	type TrainingConfiguration,
} from "./configuration.js";

/** Layers, hidden size, feed-forward size, heads. Source: arXiv:2410.21316, run logs. */
const shapes = {
	"7B": [32, 4096, 11008, 32],
	"8.3B": [72, 3072, 11008, 32],
	"10B": [50, 4096, 12400, 32],
	"13B": [40, 5120, 13824, 40],
	"20B": [40, 5120, 20480, 64],
} as const;

/** Nominal size of a published model. */
export type PublishedSize = keyof typeof shapes;

/** The nominal sizes, ascending. */
export const publishedSizes = Object.keys(shapes) as readonly PublishedSize[];

/** What may differ from the published runs. */
export interface PublishedChanges extends Partial<Omit<TrainingConfiguration, "model" | "subgroupNumels">> {
	/** Smallest subgroup in parameters of a rank. Default 1e8. */
	readonly subgroupSize?: number;
}

const changeable = {
	...{ subgroupSize: anything, numNodes: anything, dataParallel: anything, tensorParallel: anything },
	...{ microBatchSize: anything, gradientAccumulation: anything, offloadRatio: anything, bucketElements: anything },
} satisfies Record<keyof PublishedChanges, unknown>;

/**
 * A published run: 4 ranks of one node, micro-batch 1, sequences of 2048 tokens, everything offloaded.
 *
 * @param size nominal: `7B`, `8.3B`, `10B`, `13B` or `20B`
 * @throws {OctavoError} ERR_OCTAVO_CONFIGURATION for another size; ERR_OCTAVO_OPTION for a change that has no such name
 */
export function publishedConfiguration(size: PublishedSize, changes: PublishedChanges = {}): TrainingConfiguration {
	if (!Object.hasOwn(shapes, size)) {
		const message = `Expected one of ${publishedSizes.join(", ")} but received ${received(size)}`;
		throw new OctavoError("ERR_OCTAVO_CONFIGURATION", message);
	}
	checkOptions("schedules.publishedConfiguration()", changes, changeable);
	const [numLayers, hiddenSize, ffnSize, numHeads] = shapes[size];
	const model: ModelShape = {
		numLayers,
		hiddenSize,
		ffnSize,
		numHeads,
		numKvHeads: 4,
		sequenceLength: 2048,
		vocabularySize: defaultVocabularySize,
	};
	const { subgroupSize = 1e8, ...others } = changes;
	const ranks = (changes.dataParallel ?? 4) * (changes.tensorParallel ?? 1);
	return {
		model,
		numNodes: 1,
		dataParallel: 4,
		tensorParallel: 1,
		microBatchSize: 1,
		gradientAccumulation: 1,
		offloadRatio: 1,
		bucketElements: defaultBucketElements,
		...others,
		subgroupNumels: formSubgroups(parameterNumels(model), ranks, subgroupSize),
	};
}
