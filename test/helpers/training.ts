// Training configurations for tests: small ones with every shape of edge case, and the published sizes.

import { readFileSync } from "node:fs";
import { parseRuns, type Run } from "../../sdk/hardware/runs.js";
import {
	formSubgroups,
	type ModelShape,
	parameterNumels,
	type TrainingConfiguration,
} from "../../sdk/train/schedule/configuration.js";

const packageRoot = new URL("../../../", import.meta.url);

/** Text of the published runs that calibrations and checks use. */
export function runsText(): string {
	return readFileSync(new URL("test/golden/hardware/offload-runs.csv", packageRoot), "utf8");
}

/** The published runs. */
export function publishedRuns(): Run[] {
	return parseRuns(runsText());
}

/** A decoder of six tiny layers. */
export const tinyModel: ModelShape = {
	numLayers: 6,
	hiddenSize: 64,
	ffnSize: 160,
	numHeads: 4,
	numKvHeads: 2,
	sequenceLength: 32,
	vocabularySize: 128,
};

/** A small run: 7 subgroups over 4 ranks, buckets that end inside layers and subgroups. */
export function tinyConfiguration(changes: Partial<TrainingConfiguration> = {}): TrainingConfiguration {
	const dataParallel = changes.dataParallel ?? 4;
	return {
		model: tinyModel,
		numNodes: 1,
		dataParallel,
		tensorParallel: 1,
		microBatchSize: 1,
		gradientAccumulation: 1,
		subgroupNumels: formSubgroups(parameterNumels(tinyModel), dataParallel, 8000),
		offloadRatio: 1,
		bucketElements: 50000,
		...changes,
	};
}

const shapes = {
	"7B": [32, 4096, 11008, 32],
	"8.3B": [72, 3072, 11008, 32],
	"10B": [50, 4096, 12400, 32],
	"13B": [40, 5120, 13824, 40],
	"20B": [40, 5120, 20480, 64],
} as const;

/** Nominal sizes of the published figures. */
export const publishedSizes = Object.keys(shapes) as (keyof typeof shapes)[];

/** A published size on 4 ranks of one node, micro-batch 1, subgroups of 100 million. */
export function publishedConfiguration(
	size: keyof typeof shapes,
	changes: Partial<TrainingConfiguration> = {},
): TrainingConfiguration {
	const [numLayers, hiddenSize, ffnSize, numHeads] = shapes[size];
	const model: ModelShape = {
		numLayers,
		hiddenSize,
		ffnSize,
		numHeads,
		numKvHeads: 4,
		sequenceLength: 2048,
		vocabularySize: 50304,
	};
	return {
		model,
		numNodes: 1,
		dataParallel: 4,
		tensorParallel: 1,
		microBatchSize: 1,
		gradientAccumulation: 1,
		subgroupNumels: formSubgroups(parameterNumels(model), 4, 1e8),
		offloadRatio: 1,
		bucketElements: 5e8,
		...changes,
	};
}
