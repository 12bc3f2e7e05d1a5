// The one typed contract between the SDK and the native engine: everything that crosses the boundary is named here, or in the
// parts beside it that this file hands on; import from here. Every call may throw an Error with a `code` (ERR_OCTAVO_…);
// bad input never ends the process.

import type { BatchSpec, NativeBatch } from "./addon-batch.js";
import type { NativeSession, NativeTensor, SessionSpec } from "./addon-session.js";

export type * from "./addon-batch.js";
export type * from "./addon-events.js";
export type * from "./addon-session.js";

/** Hardware and libraries the engine found, as shown to the user. */
export interface EngineInfo {
	/** Version of octavo that the engine was built for. */
	version: string;
	/** Instruction set the CPU ops run with on this machine. */
	simd: "avx512" | "avx2" | "portable";
	/** What multiplies large matrices. */
	gemm: "onednn" | "plain";
	/** Threads that compute. */
	numThreads: number;
	/** CUDA ops compiled in, and devices the driver reports (0 without a driver). */
	cuda: { compiled: boolean; numDevices: number };
}

/** RoPE scaling of type `llama3`. */
export interface RopeScalingSpec {
	/** By which long wavelengths grow; above 0. */
	factor: number;
	/** Wavelengths above `originalMaxPositions` over this one grow whole. */
	lowFreqFactor: number;
	/** Wavelengths below `originalMaxPositions` over this one stay; above `lowFreqFactor`. */
	highFreqFactor: number;
	/** Positions of the model before it was stretched; from 1. */
	originalMaxPositions: number;
}

/** Shape of a Llama-architecture decoder. */
export interface LlamaSpec {
	/** From 1. */
	numLayers: number;
	/** Numbers in a token's hidden state; from 1. */
	hiddenSize: number;
	/** Numbers inside a layer's feed-forward part; from 1. */
	intermediateSize: number;
	/** From 1; a multiple of `numKvHeads`. */
	numQueryHeads: number;
	/** Heads whose keys and values are cached; from 1. */
	numKvHeads: number;
	/** Numbers in a head's query, key or value; from 2, even. */
	headDim: number;
	/** Tokens of the vocabulary; from 1. */
	vocabSize: number;
	/** Positions the model was made for, from 1; a session refuses to go beyond. */
	maxPositions: number;
	/** Added to the mean square before its root; above 0, as 1e-5. */
	rmsNormEps: number;
	/** Base of the rotation's wavelengths; above 0, as 10,000. */
	ropeTheta: number;
	/** Stretches long wavelengths, as in Llama 3.1. Absent: none. */
	ropeScaling?: RopeScalingSpec;
	/** Logits come of the embedding's own weights. */
	tieWordEmbeddings: boolean;
}

/** One tensor of a safetensors file. Byte offsets count from the file's start. */
export interface WeightSource {
	name: string;
	dtype: "F32" | "BF16" | "F16";
	shape: number[];
	path: string;
	offsetBytes: number;
	sizeBytes: number;
}

export interface NativeModel {
	readonly numParameters: number;
	readonly sizeBytes: number;
	weightNames(): string[];
	/** A view of the mapped file. Writing to it changes this model in memory, never the file. */
	weight(name: string): NativeTensor;
	/**
	 * A function that throws ERR_OCTAVO_MODEL_FILE when a mapped file has changed: views may show zeros, or other weights, for
	 * what it held. It answers after `dispose` too.
	 */
	weightsCheck(): () => void;
	createSession(spec: SessionSpec): NativeSession;
	createBatch(spec: BatchSpec): NativeBatch;
	/** Frees the weights once the last session and view is gone. Later calls throw ERR_OCTAVO_CLOSED. */
	dispose(): void;
}

/** What `octavo.node` exports. */
export interface Addon {
	engineInfo(): EngineInfo;
	/** Threads for all ops of this process, from 1 to 256. */
	setNumThreads(numThreads: number): void;
	openModel(spec: LlamaSpec, weights: WeightSource[]): NativeModel;
	/** A model of this shape with seeded random weights, for benchmarks. */
	randomModel(spec: LlamaSpec, seed: number): NativeModel;
	/** Source of a paged attention call for tests and teaching; the engine's own op on plain arrays. */
	pagedAttention(request: {
		numQueryHeads: number;
		numKvHeads: number;
		headDim: number;
		blockSize: number;
		query: Float32Array;
		keyCache: Float32Array;
		valueCache: Float32Array;
		blockTable: Int32Array;
		kvLen: number;
		scale: number;
	}): Float32Array;
}
