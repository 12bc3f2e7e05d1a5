// Shapes of the random-weight models that more than one benchmark measures.

import type { LlamaSpec } from "octavo";

const shared = { rmsNormEps: 1e-5, ropeTheta: 10_000, maxPositions: 8192 };

/** The shape of recall-tiny. */
export const tinyShape: LlamaSpec = {
	...{ numLayers: 4, hiddenSize: 128, intermediateSize: 256, numQueryHeads: 4, numKvHeads: 2, headDim: 32 },
	...{ vocabSize: 256, tieWordEmbeddings: false, ...shared },
};

/** 100 million parameters, the embeddings counted once. */
export const smallShape: LlamaSpec = {
	...{ numLayers: 12, hiddenSize: 768, intermediateSize: 2048, numQueryHeads: 12, numKvHeads: 4, headDim: 64 },
	...{ vocabSize: 32_000, tieWordEmbeddings: true, ...shared },
};
