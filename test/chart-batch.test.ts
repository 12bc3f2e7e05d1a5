// The record of a batch at rest: what its tables and its chart say of a small one written by hand, and files.

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { type Table, tableFromIPC, tableToIPC } from "apache-arrow";
import { occupancy } from "../sdk/chart/index.js";
import { batchSchema } from "../sdk/trace/batch-schema.js";
import { type BatchColumns, type BatchMetadata, BatchTrace } from "../sdk/trace/batch-trace.js";
import { matchGolden } from "./helpers/golden.js";
import { temporaryFolder } from "./helpers/temporary-folder.js";

const metadata: BatchMetadata = {
	...{ version: "0.1.0", model: "by hand", engine: "no engine", blockSize: 16, numBlocks: 10, maxSequences: 4 },
};

// Three sequences: one finishes, one is swapped out and finishes, one never begins. Four steps of 1, 2, 3 and 4 ms.
const columns: BatchColumns = {
	requests: {
		...{ sequence_id: [0, 1, 2], state: ["finished", "finished", "waiting"], policy: ["full", "random", "full"] },
		...{ budget: [null, 48, null], layer_budgets: [null, null, "32 64"] },
		...{ arrival_us: [0, 500, 0], admitted_us: [0, 1000, null] },
		...{ first_token_us: [1000, 3000, null], finished_us: [6000, 10_000, null], ttft_us: [1000, 2500, null] },
		...{ tpot_us: [2500, 7000, null], num_prompt_tokens: [20, 30, 40], num_output_tokens: [3, 2, 0] },
		...{ priority: [0, 0, 0], parent_id: [null, null, null], num_decoded_tokens: [3, 2, 0] },
		...{ num_preemptions: [0, 1, 0], num_blocks_peak: [2, 3, 0], error: [null, null, null] },
	},
	throughput: {
		...{ batch_step_index: [0, 1, 2, 3], start_us: [0, 1000, 3000, 6000], num_running: [1, 2, 0, 0] },
		...{ num_waiting: [2, 1, 1, 1], num_swapped: [0, 0, 1, 0], num_admitted: [1, 1, 0, 0] },
		...{ num_preempted: [0, 0, 1, 0], num_resumed: [0, 0, 0, 1], num_ended: [0, 0, 1, 1] },
		...{ num_free_blocks: [8, 5, 10, 10], num_prompt_tokens: [20, 30, 0, 0], num_output_tokens: [1, 2, 1, 1] },
		...{ swapped_bytes: [0, 0, 96, 96], total_us: [1000, 2000, 3000, 4000], swap_us: [0, 0, 9, 9] },
		...{ prefill_us: [400, 800, 0, 0], products_us: [300, 500, 2000, 3000], attention_us: [100, 100, 100, 100] },
		...{ cache_us: [50, 50, 50, 50], sample_us: [50, 50, 50, 50] },
	},
};

test("the summary follows from the other tables", () => {
	const row = BatchTrace.from(columns, metadata).columns("summary");
	assert.deepEqual(Object.fromEntries(Object.entries(row).map(([name, values]) => [name, values[0]])), {
		...{ num_sequences: 3, num_finished: 2, num_prompt_tokens: 50, num_output_tokens: 5, wall_us: 10_000 },
		...{ total_tokens_per_s: 5500, output_tokens_per_s: 500, ttft_median_us: 1750, ttft_p95_us: 2500 },
		...{ tpot_median_us: 4750, tpot_p95_us: 7000, most_at_once: 2, mean_at_once: 1.25, num_preemptions: 1 },
		least_free_blocks: 5,
	});
	const empty = (name: "requests" | "throughput") =>
		Object.fromEntries(Object.keys(batchSchema[name]).map((column) => [column, []]));
	const nothing = BatchTrace.from({ requests: empty("requests"), throughput: empty("throughput") }, metadata);
	assert.equal(nothing.table("summary").get(0)!.output_tokens_per_s, null);
	assert.throws(() => occupancy(nothing), { code: "ERR_OCTAVO_CHART" });
});

test("the chart equals its golden file, also from saved files", async (t) => {
	const trace = BatchTrace.from(columns, metadata);
	matchGolden("chart-occupancy", occupancy(trace));
	const path = join(await temporaryFolder(t), "batch.arrow");
	assert.equal((await trace.save(path)).length, 3);
	const loaded = await BatchTrace.load(path);
	assert.deepEqual(occupancy(loaded).toJSON(), occupancy(trace).toJSON());
	assert.deepEqual(loaded.columns("requests"), trace.columns("requests"));
});

test("files of an earlier version, which lack layer_budgets, are read with nulls; others that lack it are refused", async (t) => {
	const folder = await temporaryFolder(t);
	const saved = await BatchTrace.from(columns, metadata).save(join(folder, "now.arrow"));
	const stated = (table: Table) => JSON.parse(table.schema.metadata.get("octavo")!);
	assert.equal(stated(tableFromIPC(await readFile(saved[0]!))).schemaVersion, 2);
	const write = async (name: string, version: number | undefined, dropped: string) => {
		for (const [i, path] of saved.entries()) {
			const now = tableFromIPC(await readFile(path));
			const kept = now.schema.fields.map((field) => field.name).filter((field) => field !== dropped);
			const table = now.select(kept);
			const about = JSON.stringify({ ...metadata, ...(version === undefined ? {} : { schemaVersion: version }) });
			table.schema.metadata.set("octavo", about);
			const ending = ["", ".throughput", ".summary"][i]!;
			await writeFile(join(folder, `${name}${ending}.arrow`), tableToIPC(table, "file"));
		}
		return BatchTrace.load(join(folder, `${name}.arrow`));
	};
	const old = await write("old", undefined, "layer_budgets");
	assert.deepEqual(old.columns("requests").layer_budgets, [null, null, null]);
	assert.deepEqual(old.columns("requests").state, columns.requests.state);
	assert.deepEqual(old.metadata, metadata);
	const again = await old.save(join(folder, "again.arrow"));
	assert.equal(stated(tableFromIPC(await readFile(again[0]!))).schemaVersion, 2);
	const refused = { code: "ERR_OCTAVO_TRACE", message: /layer_budgets/ };
	await assert.rejects(write("damaged", 2, "layer_budgets"), refused);
	await assert.rejects(write("other", undefined, "state"), { code: "ERR_OCTAVO_TRACE", message: /column state/ });
});

test("columns and metadata that do not fit are refused", () => {
	const refused = (given: BatchColumns, about: BatchMetadata = metadata) =>
		assert.throws(() => BatchTrace.from(given, about), { code: "ERR_OCTAVO_TRACE" });
	refused({ ...columns, requests: { ...columns.requests, state: ["finished"] } });
	refused({ ...columns, throughput: { ...columns.throughput, total_us: [1, 2, 3, Number.NaN] } });
	refused(columns, { ...metadata, numBlocks: "10" as never });
	assert.throws(() => BatchTrace.from(columns, metadata).table("steps" as never), { code: "ERR_OCTAVO_TRACE" });
});
