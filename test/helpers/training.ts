// What tests of training share: small configurations with every shape of edge case, and the published runs. The published
// configurations are the schedules' own.

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
