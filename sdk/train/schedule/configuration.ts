// What is trained and how it is divided: the model's shape, ranks, micro-steps and subgroups. Sizes are real
// parameter counts, not the nominal "7B" of a model's name, which differ by up to 30 %.

import { OctavoError, received } from "../../errors.js";
import { nearest } from "../../options.js";

/** Shape of a Llama-like decoder: grouped-query attention, SwiGLU, untied head. */
export interface ModelShape {
	/** Decoder layers. */
	readonly numLayers: number;
	/** Width of the hidden states. */
	readonly hiddenSize: number;
	/** Inner width of the feed-forward part. */
	readonly ffnSize: number;
	/** Query heads. */
	readonly numHeads: number;
	/** Heads of keys and values. */
	readonly numKvHeads: number;
	/** Tokens a sequence. */
	readonly sequenceLength: number;
	/** Tokens of the vocabulary. */
	readonly vocabularySize: number;
}

/** One training run. */
export interface TrainingConfiguration {
	/** Shape of the model. */
	readonly model: ModelShape;
	/** Nodes; ranks divide evenly over them. */
	readonly numNodes: number;
	/** Data-parallel ranks in all; each owns 1 / (dataParallel · tensorParallel) of the parameters. */
	readonly dataParallel: number;
	/** Ranks that share each layer. */
	readonly tensorParallel: number;
	/** Sequences a rank takes through forward and backward at once. */
	readonly microBatchSize: number;
	/** Micro-steps an iteration. */
	readonly gradientAccumulation: number;
	/**
	 * Parameters of each subgroup of this rank, in the order of the model. They are taken as they are: for another number of
	 * ranks form them anew (`formSubgroups`, or `publishedConfiguration(size, { dataParallel })`).
	 */
	readonly subgroupNumels: readonly number[];
	/** Share of the subgroups, from the first, that live on the host; the rest is resident on the device. 0 to 1. */
	readonly offloadRatio: number;
	/** Full (not partitioned) elements of one reduction bucket. */
	readonly bucketElements: number;
}

/** Elements of a reduction bucket in the published runs. */
export const defaultBucketElements = 5e8;

/** Vocabulary of the published runs: GPT-2's, padded to a multiple of 128. */
export const defaultVocabularySize = 50304;

/** Names in the order in which parameters are laid out: embedding, layers, head. */
export interface LayerUnit {
	/** -1 embedding, 0 … numLayers - 1, numLayers head. */
	readonly layer: number;
	/** Parameters of the whole unit, over all ranks. */
	readonly elements: number;
	/** Parameters that are multiplied with each token. */
	readonly matmulElements: number;
}

/** The parameters of a model by unit. Norm weights are left out of `matmulElements`. */
export function layerUnits(model: ModelShape): LayerUnit[] {
	const { hiddenSize, ffnSize, numHeads, numKvHeads, numLayers, vocabularySize } = model;
	const kvSize = (hiddenSize / numHeads) * numKvHeads;
	const matmul = 2 * hiddenSize * hiddenSize + 2 * hiddenSize * kvSize + 3 * hiddenSize * ffnSize;
	const embedding = vocabularySize * hiddenSize;
	const units: LayerUnit[] = [{ layer: -1, elements: embedding, matmulElements: 0 }];
	for (let layer = 0; layer < numLayers; layer++) {
		units.push({ layer, elements: matmul + 2 * hiddenSize, matmulElements: matmul });
	}
	units.push({ layer: numLayers, elements: embedding + hiddenSize, matmulElements: embedding });
	return units;
}

/** Parameters of the whole model. */
export function countParameters(model: ModelShape): number {
	return layerUnits(model).reduce((sum, unit) => sum + unit.elements, 0);
}

/** Weight matrices of a model in order, with their elements: what subgroups are formed from. */
export function parameterNumels(model: ModelShape): number[] {
	const { hiddenSize, ffnSize, numHeads, numKvHeads, numLayers, vocabularySize } = model;
	const kvSize = (hiddenSize / numHeads) * numKvHeads;
	const numels = [vocabularySize * hiddenSize];
	for (let layer = 0; layer < numLayers; layer++) {
		numels.push(
			hiddenSize,
			hiddenSize * hiddenSize,
			2 * hiddenSize * kvSize,
			hiddenSize * hiddenSize,
			hiddenSize,
			2 * hiddenSize * ffnSize,
			hiddenSize * ffnSize,
		);
	}
	numels.push(hiddenSize, vocabularySize * hiddenSize);
	return numels;
}

/**
 * Forms subgroups: whole parameters are appended to a subgroup until it has at least `subgroupSize` elements of this
 * rank's partition, so subgroups are larger than asked for; the last takes what is left.
 *
 * @param numels elements of each parameter over all ranks
 * @param numRanks ranks that share each parameter evenly (rounded up)
 * @param subgroupSize smallest size in parameters of a rank, at least 1
 * @throws {OctavoError} ERR_OCTAVO_CONFIGURATION when size or ranks are not at least 1
 */
export function formSubgroups(numels: readonly number[], numRanks: number, subgroupSize: number): number[] {
	for (const [name, value] of Object.entries({ numRanks, subgroupSize })) {
		if (value >= 1) continue;
		const message = `Expected at least 1 for ${name} but received ${received(value)}`;
		throw new OctavoError("ERR_OCTAVO_CONFIGURATION", message);
	}
	const subgroups: number[] = [];
	let current = 0;
	for (const numel of numels) {
		current += Math.ceil(numel / numRanks);
		if (current < subgroupSize) continue;
		subgroups.push(current);
		current = 0;
	}
	if (current > 0) subgroups.push(current);
	return subgroups;
}

/** Parameters of one rank. */
export function partitionElements(configuration: TrainingConfiguration): number {
	return configuration.subgroupNumels.reduce((sum, numel) => sum + numel, 0);
}

/** Ranks of one node: they share its host memory. */
export function ranksPerNode(configuration: TrainingConfiguration): number {
	return (configuration.dataParallel * configuration.tensorParallel) / configuration.numNodes;
}

/** Subgroups that live on the host: the first ⌊ratio · n⌋. */
export function numOffloaded(configuration: TrainingConfiguration): number {
	return Math.floor(configuration.offloadRatio * configuration.subgroupNumels.length);
}

const counts = ["numNodes", "dataParallel", "tensorParallel", "microBatchSize", "gradientAccumulation"] as const;
const shapes = [
	...["numLayers", "hiddenSize", "ffnSize", "numHeads", "numKvHeads", "sequenceLength", "vocabularySize"],
] as (keyof ModelShape)[];
const fields = ["model", ...counts, "subgroupNumels", "offloadRatio", "bucketElements"] as const;

function checkNames(given: object, known: readonly string[], prefix: string): void {
	for (const name of Object.keys(given)) {
		if (known.includes(name)) continue;
		const near = nearest(name, known);
		const hint = near ? `; did you mean ${near}?` : "";
		const message = `Expected fields ${known.join(", ")} of ${prefix} but received ${name}${hint}`;
		throw new OctavoError("ERR_OCTAVO_CONFIGURATION", message);
	}
}

/**
 * Checks a configuration by value, as it may come from a file or a cell.
 *
 * @throws {OctavoError} ERR_OCTAVO_CONFIGURATION naming the field, also one that a configuration does not have
 */
export function checkConfiguration(configuration: TrainingConfiguration): void {
	const refuse = (expected: string, name: string, value: unknown): never => {
		const message = `Expected ${expected} for ${name} but received ${received(value)}`;
		throw new OctavoError("ERR_OCTAVO_CONFIGURATION", message);
	};
	const { model, subgroupNumels, offloadRatio, bucketElements } = configuration ?? {};
	if (typeof model !== "object" || model === null || !Array.isArray(subgroupNumels)) {
		const expected =
			"a training configuration, with model and subgroupNumels, as schedules.publishedConfiguration() gives one,";
		throw new OctavoError("ERR_OCTAVO_CONFIGURATION", `Expected ${expected} but received ${received(configuration)}`);
	}
	checkNames(configuration, fields, "a training configuration");
	checkNames(model, shapes, "its model");
	for (const name of counts) {
		const value = configuration[name];
		if (!Number.isInteger(value) || value < 1) refuse("a whole number, at least 1,", name, value);
	}
	for (const name of shapes) {
		const value = model[name];
		if (!Number.isInteger(value) || value < 1) refuse("a whole number, at least 1,", `model.${name}`, value);
	}
	const ranks = ranksPerNode(configuration);
	if (!Number.isInteger(ranks)) refuse("ranks that divide evenly over the nodes", "numNodes", configuration.numNodes);
	if (subgroupNumels.length === 0) refuse("at least one subgroup", "subgroupNumels", subgroupNumels);
	for (const [index, numel] of subgroupNumels.entries()) {
		if (!Number.isInteger(numel) || numel < 1) refuse("a positive count", `subgroupNumels[${index}]`, numel);
	}
	if (!(offloadRatio >= 0 && offloadRatio <= 1)) refuse("a number from 0 to 1", "offloadRatio", offloadRatio);
	if (!(bucketElements >= 1) || !Number.isFinite(bucketElements)) {
		refuse("a positive count", "bucketElements", bucketElements);
	}
}
