// A loop asks its engine the same in each step, which the engine then repeats without reading it again; what is asked in
// between must not be repeated in its place.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { AdvanceRequest, LlamaSpec } from "../native/addon.js";
import { loadAddon } from "../native/load.js";
import { policies, randomModel, type Session } from "../sdk/index.js";

const tiny: LlamaSpec = {
	...{ numLayers: 2, hiddenSize: 16, intermediateSize: 24, numQueryHeads: 2, numKvHeads: 1, headDim: 8 },
	...{ vocabSize: 61, maxPositions: 256, rmsNormEps: 1e-5, ropeTheta: 10_000, tieWordEmbeddings: false },
};
const prompt = Int32Array.from({ length: 22 }, (_, i) => (i * 7) % 61);
const warm = { temperature: 1.5, topK: 0, topP: 1 };
const nothingToRepeat = { code: "ERR_OCTAVO_ARGUMENT", message: /nothing to repeat/ };

function open() {
	const session = loadAddon()
		.randomModel(tiny, 1)
		.createSession({ blockSize: 4, numBlocks: 32, seed: 3, recordBlocks: false, policy: { name: "full" } });
	session.prefill(prompt);
	return session;
}

test("without a request the engine does again what it was last asked", async () => {
	const session = open();
	await assert.rejects(async () => session.advanceAsync(), nothingToRepeat);
	let numReads = 0;
	const request: AdvanceRequest = {
		sampling: warm,
		get maxSteps() {
			numReads++;
			return 3;
		},
	};
	for (const asked of [request, undefined, undefined])
		assert.deepEqual(await session.advanceAsync(asked), { reason: "steps", numSteps: 3 });
	assert.equal(numReads, 1);
	const whole = open();
	whole.advance({ maxSteps: 9, sampling: warm });
	assert.deepEqual(session.tokens(), whole.tokens());
	session.dispose();
	whole.dispose();
});

test("forced tokens and decisions are not repeated", async () => {
	const session = open();
	await session.advanceAsync({ maxSteps: 2, sampling: warm });
	await session.advanceAsync({ maxSteps: 1, sampling: warm, forcedTokens: Int32Array.of(5) });
	await assert.rejects(async () => session.advanceAsync(), nothingToRepeat);
	assert.equal(session.tokens().length, 22 + 2);
	await session.advanceAsync({ maxSteps: 1, sampling: warm });
	await session.advanceAsync();
	assert.equal(session.tokens().length, 22 + 4);
	session.dispose();
});

test("a loop goes on as it began, whatever is asked between its steps", async () => {
	// Large enough that the loop's steps are handed to another thread.
	const shape = { ...tiny, numLayers: 8, hiddenSize: 768, intermediateSize: 2048, numQueryHeads: 12, headDim: 64 };
	using model = randomModel({ ...shape, numKvHeads: 4 }, 1);
	const between = [
		(session: Session) => session.step({ sampling: { temperature: 3 } }),
		(session: Session) => session.feed([7, 8]),
		(session: Session) => session.stepSync({ sampling: { temperature: 0 } }),
		(session: Session) => session.rewind({ tokens: session.numTokens - 1 }),
	];
	const tokensOf = async (loops: (session: Session) => AsyncIterable<unknown>) => {
		using session = model.session({ policy: policies.full(), seed: 11, history: 4 });
		await session.prefill(prompt);
		let turn = 0;
		for await (const _ of loops(session)) await between[turn++ % between.length]!(session);
		return Array.from(session.tokens);
	};
	const looped = await tokensOf((session) => session.steps({ maxTokens: 12, sampling: warm }));
	const byOnes = await tokensOf(async function* (session) {
		for (let i = 0; i < 12; i++) yield session.stepSync({ sampling: warm });
	});
	assert.deepEqual(looped, byOnes);
});
