// Rows of steps as one array, against the columns of the same steps; and steps read that way in the SDK, whatever else
// is done between them.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { LlamaSpec, NativeTrace } from "../native/addon.js";
import { loadAddon } from "../native/load.js";
import { policies, randomModel, type Step } from "../sdk/index.js";
import { traceSchema } from "../sdk/trace/schema.js";

const llama: LlamaSpec = {
	...{ numLayers: 2, hiddenSize: 16, intermediateSize: 24, numQueryHeads: 2, numKvHeads: 1, headDim: 8 },
	...{ vocabSize: 61, maxPositions: 4096, rmsNormEps: 1e-5, ropeTheta: 10_000, tieWordEmbeddings: false },
};

function newSession() {
	const session = loadAddon()
		.randomModel(llama, 1)
		.createSession({
			...{ blockSize: 4, numBlocks: 32, seed: 3, recordBlocks: false },
			policy: { name: "paged-eviction", budget: 16 },
		});
	session.prefill(Int32Array.from({ length: 22 }, (_, i) => (i * 7) % 61));
	return session;
}

const advance = (maxSteps: number) => ({ maxSteps, sampling: { temperature: 0, topK: 0, topP: 1 } });

/** What `stepRows` should give, from whole columns. */
function packed(trace: NativeTrace, firstStep: number): number[] {
	return (["steps", "evictions"] as const).flatMap((name) => {
		const columns = trace[name];
		const steps = Array.from(columns.step_index as Int32Array);
		const rows = steps.flatMap((step, row) => (step >= firstStep ? [row] : []));
		const cells = rows.flatMap((row) =>
			Object.keys(traceSchema[name]).flatMap((columnName): number[] => {
				const column = columns[columnName]!;
				if (!("offsets" in column)) return [column[row]!];
				const list = Array.from(column.values.subarray(column.offsets[row], column.offsets[row + 1]));
				return [list.length, ...list];
			}),
		);
		return [rows.length, ...cells];
	});
}

test("stepRows gives the columns' rows from a step on, and leaves them there", () => {
	const session = newSession();
	session.advance(advance(40));
	const rows = [0, 1, 21, 39, 40].map((firstStep) => Array.from(session.stepRows(firstStep)));
	assert.deepEqual(Array.from(session.stepRows(0)), rows[0]);
	const trace = session.takeTrace();
	assert.equal((trace.steps.step_index as Int32Array).length, 40);
	assert.ok((trace.evictions.step_index as Int32Array).length > 10);
	for (const [i, firstStep] of [0, 1, 21, 39, 40].entries()) assert.deepEqual(rows[i], packed(trace, firstStep));
	assert.deepEqual(Array.from(session.stepRows(0)), [0, 0]);
	for (const bad of [-1, 1.5, 2 ** 31, "1", undefined])
		assert.throws(() => session.stepRows(bad as number), { code: "ERR_OCTAVO_ARGUMENT" });
	session.dispose();
	assert.throws(() => session.stepRows(0), { code: "ERR_OCTAVO_CLOSED" });
});

test("steps and tables are the same whether one steps, runs or looks in between", async () => {
	using model = randomModel(llama, 1);
	const numTokens = 2100; // beyond what waits with the engine
	const start = async () => {
		const session = model.session({ blockSize: 8, policy: policies.pagedEviction({ budget: 32 }), seed: 7 });
		await session.prefill(Int32Array.from({ length: 50 }, (_, i) => i));
		return session;
	};
	const sampling = { temperature: 1 };
	const options = { sampling, endTokens: [] };
	const stepped = await start();
	const steps: Step[] = [];
	for await (const step of stepped.steps({ ...options, maxTokens: numTokens })) steps.push(step);
	const mixed = await start();
	const some: Step[] = [];
	for (let left = numTokens; left > 0; left -= 7) {
		mixed.runSync({ ...options, maxTokens: Math.min(left, 6) });
		if (left % 5 === 0) assert.equal(mixed.trace.table("steps").numRows, mixed.numTokens - 49);
		if (left > 6) some.push(mixed.stepSync({ sampling }));
	}
	const untimed = ({ us: _, ...rest }: Step) => rest;
	assert.equal(steps.length, numTokens);
	assert.equal(some.length, 300);
	const first = steps[0]!.index;
	for (const step of some) assert.deepEqual(untimed(step), untimed(steps[step.index - first]!));
	for (const name of ["blocks", "evictions", "memory"] as const)
		assert.equal(String(mixed.trace.table(name)), String(stepped.trace.table(name)), name);
	assert.deepEqual(
		Array.from(stepped.trace.table("steps").getChild("token_id")!).slice(1),
		steps.map((step) => step.token),
	);
	stepped.close();
	mixed.close();
});
