// The default model against float64 logits of an independent implementation, and on the task it was trained for.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { random } from "../sdk/decode/policies/index.js";
import { loadModel } from "../sdk/load-model.js";
import { recall, recallTokens } from "../sdk/model/tasks/index.js";
import { measureRecall } from "./helpers/recall.js";
import { relativeError } from "./helpers/relative-error.js";

interface Golden {
	sequences: { ids: number[]; logits: Record<string, number[]> }[];
}
const goldenPath = fileURLToPath(new URL("../../test/golden/recall-tiny-logits.json", import.meta.url));
const golden = JSON.parse(readFileSync(goldenPath, "utf8")) as Golden;

for (const blockSize of [1, 8, 16, 32]) {
	test(`logits equal the reference with blocks of ${blockSize}, prefilled and fed`, async (t) => {
		const model = await loadModel();
		let worst = 0;
		let numCompared = 0;
		const compare = (actual: ArrayLike<number>, expected: number[]) => {
			worst = Math.max(worst, relativeError(actual, expected));
			numCompared++;
		};
		for (const { ids, logits } of golden.sequences) {
			const fed = model.session({ blockSize });
			fed.prefillSync(ids.slice(0, 1));
			for (const [key, expected] of Object.entries(logits)) {
				const position = Number(key);
				const prefilled = model.session({ blockSize });
				prefilled.prefillSync(ids.slice(0, position + 1));
				compare(prefilled.logits.data, expected);
				prefilled.close();
				fed.feedSync(ids.slice(fed.numTokens, position + 1));
				assert.equal(fed.numTokens, position + 1);
				compare(fed.logits.data, expected);
			}
			fed.close();
		}
		t.diagnostic(`worst relative L2 error ${worst.toExponential(2)} over ${numCompared} positions`);
		assert.equal(numCompared, 64);
		assert.ok(worst <= 1e-5, `worst relative L2 error ${worst}`);
	});
}

test("logits differ where a token differs", async () => {
	const model = await loadModel();
	const { ids, logits } = golden.sequences[0]!;
	const session = model.session();
	session.prefillSync([...ids.slice(0, 30), ids[30]! - 1, ...ids.slice(31, 128)]);
	assert.ok(relativeError(session.logits.data, logits["127"]!) > 1e-3);
});

test("recalls records with full attention, and fewer when most of the cache is dropped at random", async (t) => {
	const model = await loadModel();
	const full = measureRecall(model, {}, { numPrompts: 40 });
	const cut = measureRecall(model, { blockSize: 8, policy: random({ budget: 48 }) }, { numPrompts: 10 });
	t.diagnostic(`full ${full.numCorrect}/${full.numQueries}, random at 48 ${cut.numCorrect}/${cut.numQueries}`);
	assert.equal(full.numQueries, 240);
	assert.ok(full.numCorrect / full.numQueries >= 0.99, `${full.numCorrect} of 240`);
	assert.ok(cut.numCorrect / cut.numQueries < 0.9, `${cut.numCorrect} of 60`);
});

test("recall prompts are what the model was trained on", () => {
	const [low, high] = recallTokens.symbols;
	const isSymbol = (token: number) => token >= low && token < high;
	for (const filler of ["uniform", "markov"] as const) {
		for (let seed = 0; seed < 20; seed++) {
			const { context, records, queries, tokens } = recall({
				seed,
				contextLength: 64,
				numRecords: 5,
				numQueries: 7,
				filler,
			});
			assert.equal(context.length, 64);
			assert.equal(context[0], recallTokens.bos);
			assert.equal(new Set(records.flatMap(({ key, values }) => [key, ...values])).size, 15);
			assert.equal(context.filter((token) => token === recallTokens.rec).length, 5);
			assert.equal(context.filter(isSymbol).length, 15);
			assert.equal(context.filter((token) => token >= 144).length, 64 - 1 - 20);
			for (const { position, key, values } of records) {
				assert.deepEqual(Array.from(context.slice(position, position + 4)), [recallTokens.rec, key, ...values]);
			}
			for (const { tokens: asked, answer, recordIndex } of queries) {
				assert.deepEqual(Array.from(asked), [recallTokens.qry, records[recordIndex]!.key]);
				assert.deepEqual(answer, records[recordIndex]!.values);
			}
			assert.equal(tokens.length, 64 + 28);
			assert.deepEqual(Array.from(tokens.slice(64, 68)), [...queries[0]!.tokens, ...queries[0]!.answer]);
		}
	}
	assert.deepEqual(recall({ seed: 3 }), recall({ seed: 3 }));
	assert.notDeepEqual(recall({ seed: 3 }).context, recall({ seed: 4 }).context);
	assert.throws(() => recall({ contextLength: 20 }), { code: "ERR_OCTAVO_OPTION", message: /at least 25/ });
});
