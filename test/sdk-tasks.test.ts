// The task generators: shape of a prompt, a depth that is where it says, seeds, bad options, and answers as scored.

import assert from "node:assert/strict";
import { test } from "node:test";
import { loadModel, policies, tasks } from "../sdk/index.js";
import type { RecallPrompt } from "../sdk/model/tasks/index.js";

const { bos, rec, qry, symbols, filler } = tasks.recallTokens;
const within = (token: number, [low, high]: readonly [number, number]) => token >= low && token < high;

function checkPrompt(prompt: RecallPrompt, contextLength: number, numRecords: number, numQueries: number): void {
	const { context, records, queries, tokens } = prompt;
	assert.equal(context.length, contextLength);
	assert.equal(records.length, numRecords);
	assert.equal(queries.length, numQueries);
	assert.equal(context[0], bos);
	const used = records.flatMap(({ key, values }) => [key, ...values]);
	assert.equal(new Set(used).size, 3 * numRecords);
	const rest = new Set(context.keys());
	rest.delete(0);
	for (const { position, key, values } of records) {
		assert.deepEqual([...context.slice(position, position + 4)], [rec, key, ...values]);
		for (let i = 0; i < 4; i++) rest.delete(position + i);
	}
	assert.ok(used.every((token) => within(token, symbols)));
	assert.ok([...rest].every((position) => within(context[position]!, filler)));
	assert.deepEqual([...tokens], [...context, ...queries.flatMap(({ key, answer: [v1, v2] }) => [qry, key, v1, v2])]);
	for (const { key, answer, recordIndex } of queries) {
		assert.equal(records[recordIndex]!.key, key);
		assert.deepEqual(answer, records[recordIndex]!.values);
	}
}

test("recall, needle and lookup lay out BOS, filler and records as they say", () => {
	for (let seed = 0; seed < 20; seed++) {
		checkPrompt(tasks.recall({ seed, contextLength: 100, numRecords: 7, numQueries: 5 }), 100, 7, 5);
		checkPrompt(tasks.needle({ seed, contextLength: 64, filler: "markov" }), 64, 1, 1);
		checkPrompt(tasks.lookup({ seed, numRecords: 10, numQueries: 4 }), 41, 10, 4);
	}
});

test("a needle is at its depth, and the rest of the prompt does not depend on it", () => {
	const at = (depth: number) => tasks.needle({ seed: 3, contextLength: 65, depth });
	assert.deepEqual(
		[0, 0.25, 0.5, 1].map((depth) => at(depth).records[0]!.position),
		[1, 16, 31, 61],
	);
	const without = ({ context, records }: RecallPrompt) => {
		const tokens = [...context];
		tokens.splice(records[0]!.position, 4);
		return tokens;
	};
	assert.deepEqual(without(at(0)), without(at(1)));
});

test("a prompt is a function of its seed, and differs between seeds", () => {
	for (const make of [tasks.needle, tasks.lookup]) {
		assert.deepEqual(make({ seed: 5 }), make({ seed: 5 }));
		assert.notDeepEqual(make({ seed: 5 }).context, make({ seed: 6 }).context);
	}
});

test("bad options are refused by name", () => {
	assert.throws(() => tasks.needle({ depth: 1.5 }), { code: "ERR_OCTAVO_OPTION", message: /from 0 to 1 for depth/ });
	assert.throws(() => tasks.needle({ contextLength: 4 }), { code: "ERR_OCTAVO_OPTION", message: /contextLength/ });
	assert.throws(() => tasks.lookup({ numRecords: 43 }), { code: "ERR_OCTAVO_OPTION", message: /from 1 to 42/ });
	assert.throws(() => tasks.lookup({ records: 3 } as never), { code: "ERR_OCTAVO_OPTION", message: /numRecords/ });
});

test("with a full cache the model finds every needle at 128 tokens, and 95 % of 16 records without filler", async (t) => {
	const model = await loadModel();
	t.after(() => model.close());
	const score = (prompts: RecallPrompt[]) => {
		const marks = prompts.flatMap(({ context, queries }) => {
			using session = model.session({ policy: policies.full(), recordBlocks: false });
			session.prefillSync(context);
			return queries.map((query) => Number(tasks.answer(session, query).correct));
		});
		return marks.reduce((sum, mark) => sum + mark, 0) / marks.length;
	};
	const seeds = Array.from({ length: 30 }, (_, seed) => seed);
	const needles = [0, 0.25, 0.5, 0.75, 1].flatMap((depth) => seeds.map((seed) => tasks.needle({ seed, depth })));
	assert.ok(score(needles) >= 0.98);
	const lookups = score(seeds.map((seed) => tasks.lookup({ seed })));
	assert.ok(lookups >= 0.95, `${lookups}`);
});

test("an answer counts only if both tokens are right, and the right one is fed whatever was said", () => {
	const query = tasks.needle({ seed: 1 }).queries[0]!;
	const [v1, v2] = query.answer;
	for (const [said, correct] of [
		[[v1, v2], true],
		[[v1, v2 + 1], false],
		[[v1 + 1, v2], false],
	] as const) {
		const fed: number[] = [];
		const script = [...said];
		const answered = tasks.answer(
			{ feedSync: (tokens) => fed.push(...tokens), topTokens: () => [{ token: script.shift()! }] },
			query,
		);
		assert.deepEqual(answered, { tokens: [...said], correct });
		assert.deepEqual(fed, [...query.tokens, v1, v2]);
	}
});
