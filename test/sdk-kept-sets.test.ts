// Kept sets on the model in the package: expected ones are worked out in float64 from a full cache's keys and patterns, and
// are committed, so that neither the oracle nor the policies can drift unseen.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { inverseKeyNorm, keyDiff, type Policy, snapKv, tova } from "../sdk/decode/policies/index.js";
import { loadModel, type Model } from "../sdk/load-model.js";
import { matchGolden } from "./helpers/golden.js";
import { type CapturedLayer, keptSet, scores } from "./helpers/kept-sets.js";

const [blockSize, budget, window, numTokens] = [8, 40, 12, 117];
// All different: equal tokens would tie in layer 0.
const prompt = Array.from({ length: numTokens }, (_, i) => (i * 97 + 13) % 256);
let model: Model;
let layers: CapturedLayer[];

// The last `window` queries are fed one by one, so that each one's pattern can be read.
function capture(): CapturedLayer[] {
	const session = model.session({ blockSize });
	session.prefillSync(prompt.slice(0, numTokens - window));
	const patterns: number[][][][] = Array.from({ length: model.config.numLayers }, () => []);
	for (const token of prompt.slice(numTokens - window)) {
		session.feedSync([token]);
		for (const [layer, list] of patterns.entries()) {
			const pattern = session.layer(layer).pattern();
			list.push(Array.from({ length: pattern.shape[0]! }, (_, head) => Array.from(pattern.at(head).data)));
		}
	}
	return patterns.map((of, index) => {
		const layer = session.layer(index);
		const [, numHeads] = layer.keys.shape;
		const keys = Array.from({ length: numTokens }, (_, token) => {
			const block = layer.block(Math.floor(token / blockSize)).keys;
			return Array.from({ length: numHeads! }, (_, head) => Array.from(block.at(head, token % blockSize).data));
		});
		return { keys, patterns: of };
	});
}

before(async () => {
	model = await loadModel();
	layers = capture();
});

const tail = numTokens % blockSize;
const cases: Record<string, { policy: Policy; numLast: number }> = {
	knorm: { policy: inverseKeyNorm({ budget }), numLast: tail },
	keyDiff: { policy: keyDiff({ budget }), numLast: tail },
	tova: { policy: tova({ budget }), numLast: tail },
	snapKvAverage: { policy: snapKv({ budget, window }), numLast: window },
	snapKvMaximum: { policy: snapKv({ budget, window, pooling: "max", poolingWidth: 7 }), numLast: window },
};

for (const [name, { policy, numLast }] of Object.entries(cases)) {
	test(`${name} keeps what its definition keeps`, () => {
		const expected = layers.map((layer) => keptSet(scores[name]!(layer), budget, blockSize, numLast));
		matchGolden(
			`kept-sets-${name}`,
			expected.map((positions) => positions.join(" ")),
		);
		const session = model.session({ blockSize, policy });
		session.prefillSync(prompt);
		const kept = layers.map((_, index) => session.layer(index).blocks.flatMap((block) => [...block.positions]));
		assert.deepEqual(kept, expected);
	});
}

test("no two of them, nor the newest tokens, are the same set", () => {
	const sets = Object.entries(cases).map(([name, { numLast }]) =>
		keptSet(scores[name]!(layers[1]!), budget, blockSize, numLast).join(),
	);
	assert.equal(new Set(sets).size, sets.length);
});
