// Traces of caches with holes, and of heads with tokens of their own, through files: what comes back says the same, and
// its tables agree with each other at every step.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Table } from "apache-arrow";
import { chart, loadModel, policies, Trace, tasks, traceSchema } from "../sdk/index.js";
import { temporaryFolder } from "./helpers/temporary-folder.js";

const model = await loadModel();
after(() => model.close());
const { context } = tasks.recall({ seed: 2, contextLength: 60 });
const [budget, blockSize, numTokens] = [32, 8, 40];
const { numLayers, numKvHeads } = model.config;

type Row = Record<string, unknown>;
const plain = (value: unknown): unknown =>
	typeof value === "object" && value !== null ? Array.from(value as number[]) : value;
const tables = (trace: Trace) =>
	(Object.keys(traceSchema) as (keyof typeof traceSchema)[]).map((name) => {
		const table = trace.table(name) as unknown as Table;
		return [name, ...table.schema.fields.map((field) => [field.name, Array.from(table.getChild(field.name)!, plain)])];
	});
const rows = (trace: Trace, name: "blocks" | "evictions" | "memory"): Row[] =>
	[...(trace.table(name) as unknown as Table)].map((row) =>
		Object.fromEntries(Object.entries(row.toJSON() as Row).map(([column, value]) => [column, plain(value)])),
	);

/** Replays the evictions of one head (-1: all heads alike) of a layer, and compares with the blocks of every step. */
function assertBlocksFollowEvictions(trace: Trace, layer: number, head: number): number {
	const own = (name: "blocks" | "evictions") =>
		rows(trace, name).filter((row) => row.layer_index === layer && row.kv_head === head);
	const [blocks, evictions] = [own("blocks"), own("evictions")];
	const memory = rows(trace, "memory").filter((row) => row.layer_index === layer);
	const live = new Set(Array.from({ length: context.length }, (_, position) => position));
	let numHoles = 0;
	for (let step = 0; step <= numTokens; step++) {
		if (step > 0) live.add(context.length + step - 1);
		for (const { step_index, positions } of evictions) {
			if (step_index !== step) continue;
			for (const position of positions as number[]) assert.ok(live.delete(position), `${position} in step ${step}`);
		}
		const now = blocks.filter(({ step_index }) => step_index === step);
		const slots = now.flatMap(({ positions }) => positions as number[]);
		const cached = slots.filter((position) => position >= 0);
		assert.deepEqual(
			cached.sort((a, b) => a - b),
			[...live].sort((a, b) => a - b),
			`step ${step}, layer ${layer}`,
		);
		assert.ok(now.every(({ positions, filled }) => (positions as number[]).length === filled));
		const { live_tokens, allocated_tokens, fragmentation } = memory[step]!;
		assert.deepEqual([live_tokens, allocated_tokens], [live.size, now.length * blockSize]);
		assert.ok(Math.abs((fragmentation as number) - (1 - live.size / (now.length * blockSize))) < 1e-6);
		numHoles += slots.filter((position) => position === -1).length;
	}
	return numHoles;
}

const forms = {
	mask: { policy: policies.random({ budget, granularity: "token", holes: "mask" }), heads: [-1], leavesHoles: true },
	compact: {
		policy: policies.keyDiff({ budget, granularity: "token", holes: "compact" }),
		heads: [-1],
		leavesHoles: true,
	},
	recycle: { policy: policies.tova({ budget, granularity: "token" }), heads: [-1], leavesHoles: false },
	"per head": {
		policy: policies.inverseKeyNorm({ budget, granularity: "token", heads: "per-head" }),
		heads: Array.from({ length: numKvHeads }, (_, head) => head),
		leavesHoles: false,
	},
};

for (const [name, { policy, heads, leavesHoles }] of Object.entries(forms)) {
	test(`${name}: saved and loaded, the trace says the same and its tables agree`, async (t) => {
		using session = model.session({ blockSize, policy, seed: 7 });
		session.prefillSync(context);
		// In two pieces, which the trace joins.
		session.runSync({ maxTokens: 15, endTokens: [] });
		assert.ok(session.trace.table("blocks").numRows > 0);
		session.runSync({ maxTokens: numTokens - 15, endTokens: [] });
		const path = join(await temporaryFolder(t), "run.arrow");
		await session.trace.save(path);
		const loaded = await Trace.load(path);
		assert.deepEqual(tables(loaded), tables(session.trace));
		for (let layer = 0; layer < numLayers; layer++) {
			for (const head of heads) {
				const numHoles = assertBlocksFollowEvictions(loaded, layer, head);
				assert.equal(numHoles > 0, leavesHoles, `${numHoles} holes`);
			}
		}
		for (const draw of [
			(trace: Trace) => chart.blockMap(trace, { layer: 1, step: numTokens }),
			(trace: Trace) => chart.survival(trace),
			(trace: Trace) => chart.memory(trace),
		]) {
			assert.deepEqual(draw(loaded).toJSON(), draw(session.trace).toJSON());
		}
	});
}
