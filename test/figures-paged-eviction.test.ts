// The experiments of PagedEviction on recall-tiny, with few prompts: what must hold whatever the numbers, and the few
// numbers that are known of this model.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { pointsOf, type Sample } from "../sdk/figures/paged-eviction/points.js";
import { spearman } from "../sdk/figures/paged-eviction/spearman.js";
import { figures, loadModel, policies } from "../sdk/index.js";
import { temporaryFolder } from "./helpers/temporary-folder.js";

const model = await loadModel();
after(() => model.close());

test("accuracy by budget: the control and the full cache stand on it, and KeyDiff finds what it is known to find", async () => {
	const { rows, table, chart } = await figures.accuracyByBudget(model, { budgets: [64], numPrompts: 12 });
	const at = (policy: string) => rows.find((row) => row.policy === policy)!;
	assert.equal(rows.length, figures.contenders.length + 2);
	assert.ok(at("oracle").score >= at("full").score - 0.1 && at("oracle").over_random_low! > 0.3);
	assert.equal(table.numRows, rows.length);
	assert.ok(at("full").score >= 0.98 && at("full").budget === null && at("full").over_random === null);
	assert.deepEqual([at("random").over_random, at("random").over_random_low, at("random").over_random_high], [0, 0, 0]);
	assert.ok(at("key-diff").score > 0.9 && at("key-diff").over_random_low! > 0.3);
	assert.ok(at("paged-eviction").score < at("random").score);
	for (const row of rows.filter(({ budget, policy }) => budget !== null && policy !== "snap-kv"))
		assert.ok(row.live_tokens >= 64 && row.allocated_tokens <= 72, row.policy);
	assert.match(JSON.stringify(chart.layout), /not the paper's(<br>| )ranking/);
});

test("points pair each prompt with the control on the same prompt", () => {
	const sample = (policy: string, seed: number, score: number): Sample => ({
		...{ task: "t", setting: "", budget: 8, blockSize: 4, liveTokens: 6, allocatedTokens: 8 },
		...{ policy, seed, score },
	});
	// The control varies from prompt to prompt, the difference to it does not: unpaired intervals would be wide.
	const [a, , b] = pointsOf([
		...[0, 1, 2, 3].map((seed) => sample("always-better", seed, seed % 2 ? 0.75 : 0.25)),
		...[0, 1, 2, 3].map((seed) => sample("random", seed, seed % 2 ? 0.5 : 0)),
		...[0, 1, 2, 4].map((seed) => sample("other-prompts", seed, 1)),
	]);
	assert.deepEqual([a!.over_random, a!.over_random_low, a!.over_random_high], [0.25, 0.25, 0.25]);
	assert.equal(b!.over_random, null);
	assert.equal(a!.fragmentation, 0.25);
	// 0.1 + 0.2 - 0.3 is above zero by rounding alone: as good as the control, and no better.
	const [same] = pointsOf([
		...[0, 1, 2].map((seed) => sample("equal", seed, 0.1 + 0.2)),
		...[0, 1, 2].map((seed) => sample("random", seed, 0.3)),
	]);
	assert.deepEqual([same!.over_random, same!.over_random_low, same!.over_random_high], [0, 0, 0]);
});

test("throughput: a smaller budget holds fewer blocks, so more sequences run at once", async () => {
	const options = { budgets: [32, 64], numSequences: 12, numTokens: 64 };
	const { rows, table, chart } = await figures.throughputByBudget(model, options);
	assert.deepEqual(
		rows.map((row) => [row.policy, row.budget]),
		[
			["full", null],
			...["paged-eviction", "streaming-llm", "random"].flatMap((name) => [32, 64].map((budget) => [name, budget])),
		],
	);
	assert.equal(table.numRows, 7);
	const at = (policy: string, budget: number | null) =>
		rows.find((row) => row.policy === policy && row.budget === budget)!;
	for (const policy of ["paged-eviction", "streaming-llm", "random"]) {
		assert.ok(at(policy, 32).mean_at_once > at(policy, 64).mean_at_once, policy);
		assert.ok(at(policy, 64).mean_at_once > at("full", null).mean_at_once, policy);
		assert.equal(at(policy, 32).num_preemptions, 0);
	}
	assert.ok(at("full", null).num_preemptions > 0 && at("full", null).over_full === 1);
	for (const row of rows) {
		const { total_tokens_per_s: rate, total_tokens_per_s_least: least, total_tokens_per_s_most: most } = row;
		assert.ok(least > 0 && least <= rate && rate <= most && row.ttft_us > 0 && row.tpot_us > 0, row.policy);
	}
	assert.match(JSON.stringify(chart.layout), /Measured/);
	await assert.rejects(figures.throughputByBudget(model, { budgets: [20] }), { code: "ERR_OCTAVO_BUDGET" });
	await assert.rejects(figures.throughputByBudget(model, { numPrompts: 3 } as object), { code: "ERR_OCTAVO_OPTION" });
});

test("rank correlation: order, reversed order, ties by mean rank, a constant", () => {
	assert.equal(spearman([1, 5, 9, 10], [2, 3, 8, 100]), 1);
	assert.equal(spearman([1, 2, 3], [9, 5, -1]), -1);
	// Ranks 0.5 0.5 2 3 and 0 1 2 3: covariance 4.5, variances 4.5 and 5.
	assert.ok(Math.abs(spearman([1, 1, 2, 3], [1, 2, 3, 4]) - 4.5 / Math.sqrt(4.5 * 5)) < 1e-12);
	assert.equal(spearman([4, 4, 4], [1, 2, 3]), 0);
});

test("a needle inside the protected ends is always found, and streaming-llm finds the recent half alone", async () => {
	const { rows } = await figures.needleByDepth(model, { numPrompts: 4, numDepths: 5 });
	const found = (policy: string) => rows.filter((row) => row.policy === policy).map((row) => row.score);
	assert.deepEqual(found("full"), [1, 1, 1, 1, 1]);
	assert.deepEqual(found("streaming-llm"), [1, 0, 0, 1, 1]);
	for (const { name } of figures.contenders) assert.deepEqual([found(name)[0], found(name)[4]], [1, 1], name);
});

test("over random at half: all policies on three tasks, the same points as in the figures of accuracy", async () => {
	const progress: number[] = [];
	const onProgress = (done: number, total: number) => progress.push(done / total);
	const { name, rows } = await figures.overRandomAtHalf(model, { numPrompts: 6, onProgress });
	assert.deepEqual([name, rows.length], ["over-random", 3 * figures.contenders.length]); // no control, but an oracle
	const places = rows.map(({ task, budget }) => `${task} ${budget}`);
	assert.deepEqual([...new Set(places)], ["recall 64", "needle 64", "lookup 40"]);
	assert.ok(rows.find(({ task, policy }) => task === "recall" && policy === "key-diff")!.over_random_low! > 0.2);
	assert.deepEqual([progress.at(-1), [...progress].sort((a, b) => a - b)], [1, progress]);
	const { rows: points } = await figures.accuracyByBudget(model, { task: "lookup", budgets: [40], numPrompts: 6 });
	const drawn = rows.filter(({ task }) => task === "lookup");
	assert.deepEqual(
		drawn,
		points.filter(({ policy }) => !["full", "random"].includes(policy)),
	);
});

test("block size: a point a policy and size, budgets that do not fit are refused", async () => {
	const { rows } = await figures.accuracyByBlockSize(model, { numPrompts: 2 });
	assert.deepEqual([...new Set(rows.map((row) => row.block_size))], [8, 16, 32]);
	assert.equal(rows.length, 3 * (figures.contenders.length + 1));
	await assert.rejects(figures.accuracyByBlockSize(model, { budget: 100, numPrompts: 1 }), {
		code: "ERR_OCTAVO_BUDGET",
	});
});

test("memory over time: paged eviction stays within a block of its budget, the full cache keeps all", async () => {
	const { rows } = await figures.memoryOverTime(model, { numTokens: 100 });
	const paged = rows.filter((row) => row.policy === "paged-eviction");
	assert.equal(paged.length, 101);
	assert.ok(paged.every((row) => row.live_tokens >= 64 && row.allocated_tokens <= 72));
	const last = rows.filter((row) => row.policy === "full").at(-1)!;
	assert.deepEqual([last.live_tokens, last.allocated_tokens], [228, 232]);
	// The paper's argument: holes waste most of what is allocated unless their slots are used again.
	const end = (how: string) => rows.filter((row) => row.policy === `key-diff by token, ${how}`).at(-1)!;
	assert.ok(end("mask").fragmentation > 0.3 && end("mask").live_tokens === 64);
	assert.deepEqual([end("recycle").allocated_tokens, end("recycle").fragmentation], [64, 0]);
	assert.ok(end("compact").allocated_tokens <= 72);
	// 4 layers, 232 slots, 2 heads of 32, keys and values in f32.
	assert.equal(last.allocated_bytes, 4 * 232 * 2 * 32 * 2 * 4);
});

test("overhead: parts of a step add up to no more than the step", async () => {
	const { rows } = await figures.evictionOverhead(model, { numTokens: 32 });
	for (const { policy, total_us, attention_us, score_us, evict_us, share } of rows) {
		assert.ok(attention_us > 0 && attention_us + score_us + evict_us <= total_us, policy);
		assert.ok(Math.abs(share - (score_us + evict_us) / total_us) < 1e-12);
	}
});

test("zeroed slots take attention, evicted ones take none", async () => {
	const { rows, chart } = await figures.zeroedOrEvicted(model, { numPrompts: 10 });
	const [nothing, evicted, zeroed] = rows.map((row) => row.mass_on_dropped);
	assert.equal(evicted, 0);
	assert.ok(zeroed! > 0.01 && nothing! > zeroed!);
	assert.ok(rows[0]!.score >= 0.9 && rows[1]!.score < rows[0]!.score);
	const { mass_low: low, mass_on_dropped: mass, mass_high: high } = rows[2]!;
	assert.ok(low < mass && mass < high);
	const [answered, onDropped] = chart.data as { error_y: { array: number[]; arrayminus: number[] } }[];
	const rounded = (x: number) => Number(x.toPrecision(3));
	assert.equal(rounded(onDropped!.error_y.array[2]!), rounded(high - mass));
	assert.equal(rounded(answered!.error_y.arrayminus[1]!), rounded(rows[1]!.score - rows[1]!.score_low));
});

test("KeyDiff's score goes with attention in every layer of this model, and recency does not", async () => {
	const { rows } = await figures.scoreCorrelation(model, { numPrompts: 6 });
	const of = (start: string) => rows.filter((row) => row.score.startsWith(start));
	assert.equal(of("−cos").length, 4);
	assert.ok(of("−cos").every((row) => row.low > 0));
	assert.ok(of("position").every((row) => Math.abs(row.correlation) < 0.3));
});

test("ablations stand beside the control", async () => {
	const scores = (await figures.scoreVariants(model, { numPrompts: 6 })).rows;
	assert.deepEqual([scores.length, scores.at(-1)!.policy], [6, "random"]);
	const aware = (await figures.questionAwareness(model, { numPrompts: 6 })).rows;
	assert.equal(aware.length, 2 * figures.contenders.length);
	const scopes = (await figures.scopes(model, { numPrompts: 6 })).rows;
	assert.deepEqual([scopes.length, new Set(scopes.map((row) => row.setting)).size], [12, 4]);
	const forms = (await figures.granularities(model, { numPrompts: 6 })).rows;
	assert.deepEqual([forms.length, new Set(forms.map((row) => row.setting)).size], [13, 3]);
	const prefill = (await figures.prefillAttention(model, { numPrompts: 6 })).rows;
	assert.ok(prefill.length === 10 && prefill.every((row) => row.over_random !== null));
});

test("an experiment tells its progress, ends on a signal, and refuses what is no contender", async () => {
	const progress: number[] = [];
	const options = { numPrompts: 10, budgets: [64], policies: [figures.contenders[0]!] };
	await figures.accuracyByBudget(model, { ...options, onProgress: (done, total) => progress.push(done / total) });
	assert.equal(progress.at(-1), 1);
	const signal = AbortSignal.abort(new Error("enough"));
	await assert.rejects(figures.accuracyByBudget(model, { ...options, signal }), /enough/);
	await assert.rejects(figures.accuracyByBudget(model, { policies: [policies.full()] as never }), {
		code: "ERR_OCTAVO_OPTION",
		message: /policy\(budget, seed\)/,
	});
});

test("octavo figures paged-eviction writes every figure", async (t) => {
	const main = fileURLToPath(new URL("../kernel/main.js", import.meta.url));
	const output = join(await temporaryFolder(t), "out");
	const run = (...more: string[]) =>
		spawnSync(process.execPath, [main, "figures", "paged-eviction", ...more], {
			encoding: "utf8",
			env: { ...process.env, PATH: "", OCTAVO_CHROMIUM: "" },
		});
	const { status, stdout, stderr } = run("--prompts", "1", "--output", output);
	assert.equal(status, 0, stderr);
	assert.match(stdout, /^16 figures/);
	const files = readdirSync(output);
	for (const ending of ["arrow", "html", "json"])
		assert.equal(files.filter((file) => file.endsWith(`.${ending}`)).length, 16);
	assert.ok(files.includes("over-random.arrow"));
	assert.equal(readFileSync(join(output, "accuracy-recall.arrow")).subarray(0, 6).toString(), "ARROW1");
	assert.match(run("--prompts", "none").stderr, /whole number/);
});
