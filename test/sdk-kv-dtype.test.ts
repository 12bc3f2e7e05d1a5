// The session option kvDtype, from JavaScript: what is stored, what is recorded, what is refused.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Model, policies, randomModel } from "octavo";

const spec = {
	...{ numLayers: 2, hiddenSize: 32, intermediateSize: 48, numQueryHeads: 4, numKvHeads: 2, headDim: 8 },
	...{ vocabSize: 64, maxPositions: 256, rmsNormEps: 1e-5, ropeTheta: 10_000, tieWordEmbeddings: true },
};
const prompt = Int32Array.from({ length: 37 }, (_, i) => (i * 7) % 64);

function decoded(model: Model, kvDtype?: "f32" | "bf16" | "f16") {
	const session = model.session({
		...(kvDtype && { kvDtype }),
		...{ policy: policies.pagedEviction({ budget: 48 }), history: 20 },
	});
	session.prefillSync(prompt);
	session.runSync({ maxTokens: 24, endTokens: [] });
	return session;
}

test("views, bytes in the trace and rewinding follow kvDtype", () => {
	using model = randomModel(spec, 3);
	const exact = decoded(model);
	const bytes = (session: typeof exact) => Number(session.trace.table("memory").toArray().at(-1)!.live_bytes);
	assert.equal(exact.layer(0).keys.dtype, "f32");
	// The first layer's keys do not depend on what the cache holds.
	const firstKey = (kvDtype?: "f32" | "bf16" | "f16") => {
		const session = model.session({ ...(kvDtype && { kvDtype }) });
		session.prefillSync(prompt);
		const key = session.layer(0).block(0).keys.toFloat32().slice(0, 8);
		session.close();
		return key;
	};
	const exactKey = firstKey();
	for (const kvDtype of ["bf16", "f16"] as const) {
		const session = decoded(model, kvDtype);
		const { keys, values } = session.layer(0);
		assert.deepEqual([keys.dtype, values.dtype], [kvDtype, kvDtype]);
		assert.equal(bytes(session) * 2, bytes(exact));
		const halfUnit = kvDtype === "bf16" ? 2 ** -8 : 2 ** -11;
		const key = firstKey(kvDtype);
		for (const [i, number] of key.entries()) {
			assert.ok(Math.abs(number - exactKey[i]!) <= halfUnit * Math.abs(exactKey[i]!), `element ${i}`);
		}
		assert.notDeepEqual(key, exactKey);
		const after = session.logits.toFloat32().slice();
		const tokens = session.tokens.length;
		session.rewind({ tokens: tokens - 8 });
		session.runSync({ maxTokens: 8, endTokens: [] });
		assert.deepEqual(session.logits.toFloat32(), after);
		session.close();
	}
	exact.close();
});

test("a sequence of a batch decodes to the tokens of a session of that type", async () => {
	using model = randomModel(spec, 3);
	for (const kvDtype of ["f32", "bf16", "f16"] as const) {
		const session = model.session({ kvDtype });
		session.prefillSync(prompt);
		session.runSync({ maxTokens: 12, endTokens: [] });
		using batch = model.batch({ kvDtype });
		const sequence = batch.add(prompt, { maxTokens: 12, endTokens: [] });
		await batch.run();
		const { tokens } = await sequence.result();
		assert.deepEqual([...tokens], [...session.tokens.slice(prompt.length)], kvDtype);
		session.close();
	}
});

test("another type is refused by name", () => {
	using model = randomModel(spec, 3);
	assert.throws(() => model.session({ kvDtype: "fp8" as "f16" }), {
		code: "ERR_OCTAVO_OPTION",
		message: /kvDtype.*"fp8"/,
	});
});
