// What hostile calls of the native addon start from: requests that are right, values that are not, and the demand that a
// call throws an Error with one of our codes.

import assert from "node:assert/strict";
import type { LlamaSpec, NativeSession } from "../../native/addon.js";
import { loadAddon } from "../../native/load.js";

export const addon = loadAddon();

export const llama: LlamaSpec = {
	numLayers: 2,
	hiddenSize: 16,
	intermediateSize: 24,
	numQueryHeads: 4,
	numKvHeads: 2,
	headDim: 4,
	vocabSize: 40,
	maxPositions: 512,
	rmsNormEps: 1e-5,
	ropeTheta: 10000,
	tieWordEmbeddings: true,
};
export const spec = { blockSize: 4, numBlocks: 32, policy: { name: "full" as const }, seed: 1, recordBlocks: true };
export const request = { maxSteps: 1, sampling: { temperature: 0, topK: 0, topP: 1 } };
export const attention = {
	numQueryHeads: 2,
	numKvHeads: 1,
	headDim: 2,
	blockSize: 2,
	query: new Float32Array(4),
	keyCache: new Float32Array(8),
	valueCache: new Float32Array(8).fill(1),
	blockTable: Int32Array.of(1, 0),
	kvLen: 3,
	scale: 1,
};
export const strange: unknown[] = [
	undefined,
	null,
	true,
	0,
	-1,
	0.5,
	Number.NaN,
	Number.POSITIVE_INFINITY,
	2 ** 31,
	2 ** 53,
	-(2 ** 53),
	1e308,
	"",
	"16",
	"x".repeat(100_000),
	Symbol("s"),
	10n ** 30n,
	() => 1,
	class {},
	[],
	[1, 2],
	{},
	{ valueOf: () => 4 },
	Object.create(null),
	new Proxy({}, {}),
	new Date(),
	/x/,
	new Map(),
	new ArrayBuffer(8),
	new SharedArrayBuffer(8),
	new DataView(new ArrayBuffer(8)),
	new Uint8Array(3),
	new Float32Array(3),
	new Int32Array(0),
	new BigInt64Array(2),
	Promise.resolve(),
];

/** Must throw an Error with one of our codes; gives the code. */
export function codeOf(call: () => unknown): string {
	try {
		call();
	} catch (error) {
		const { code, message } = error as NodeJS.ErrnoException;
		assert.ok(error instanceof Error, String(error));
		assert.match(String(code), /^ERR_OCTAVO_[A-Z_]+$/, message);
		assert.doesNotMatch(code!, /INTERNAL/, message);
		assert.ok(message.length > 0 && message.length < 400, message);
		return code!;
	}
	return "";
}

export function newSession(): NativeSession {
	const session = addon.randomModel(llama, 1).createSession(spec);
	session.prefill(Int32Array.of(1, 2, 3));
	session.advance(request);
	return session;
}
