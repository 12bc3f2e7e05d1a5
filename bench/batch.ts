// What does a smaller budget bring when many sequences share one pool of blocks? The throughput experiment of
// PagedEviction (arXiv:2509.04377) in small: prompts given at once, a fixed pool, a row for each policy and budget, with
// the random control. Prints Markdown. Weights are random: speed does not depend on them.

import { cpus, loadavg } from "node:os";
import { engineInfo, type Model, type Policy, policies, randomModel } from "octavo";
import { smallShape } from "./helpers/shapes.js";

const numPrompts = 16;
const promptTokens = 64;
const outputTokens = 192;
const blockSize = 16;
// Four sequences of full length.
const numBlocks = (4 * (promptTokens + outputTokens)) / blockSize;
const budgets = [64, 128];

interface Row {
	name: string;
	budget: string;
	totalPerSecond: number;
	outputPerSecond: number;
	ttftMs: number;
	tpotMs: number;
	meanAtOnce: number;
	numPreemptions: number;
	/** Shares of the steps' time, in percent. */
	shares: Record<"prefill" | "products" | "attention" | "cache" | "sample" | "swap", number>;
}

async function measure(model: Model, name: string, policy: Policy, maxSequences: number, count: number): Promise<Row> {
	using batch = model.batch({ blockSize, numBlocks, policy, maxSequences, watermark: 0 });
	for (let i = 0; i < count; i++) {
		const prompt = Int32Array.from(
			{ length: promptTokens },
			(_, at) => (at * 7919 + 131 * i + 13) % smallShape.vocabSize,
		);
		batch.add(prompt, { maxTokens: outputTokens, endTokens: [] });
	}
	await batch.run({ onProgress: (progress) => process.stderr.write(`\r${name}: ${progress}   `) });
	process.stderr.write("\n");
	const summary = batch.summary.get(0)!;
	const sum = (column: string) =>
		(Array.from(batch.throughput.getChild(column)!) as number[]).reduce((total, value) => total + value, 0);
	const share = (column: string) => (100 * sum(column)) / summary.wall_us;
	return {
		...{ name, budget: policy.budget === undefined ? "–" : String(policy.budget) },
		...{ totalPerSecond: summary.total_tokens_per_s, outputPerSecond: summary.output_tokens_per_s },
		...{ ttftMs: summary.ttft_median_us / 1e3, tpotMs: summary.tpot_median_us / 1e3 },
		...{ meanAtOnce: summary.mean_at_once, numPreemptions: summary.num_preemptions },
		shares: {
			...{ prefill: share("prefill_us"), products: share("products_us"), attention: share("attention_us") },
			...{ cache: share("cache_us"), sample: share("sample_us"), swap: share("swap_us") },
		},
	};
}

const { simd, gemm, numThreads } = engineInfo();
const load = `load average before it ${loadavg()[0]!.toFixed(1)}`;
const device = `${cpus()[0]?.model ?? "unknown processor"}, ${numThreads} threads, ${simd}, GEMM ${gemm}, ${load}`;
using model = randomModel(smallShape, 1);
await measure(model, "warm-up", policies.full(), 4, 2);
const rows = [
	await measure(model, "full, one at a time", policies.full(), 1, 3),
	await measure(model, "full", policies.full(), numPrompts, numPrompts),
];
for (const budget of budgets) {
	rows.push(
		await measure(model, "paged-eviction", policies.pagedEviction({ budget }), numPrompts, numPrompts),
		await measure(model, "random", policies.random({ budget }), numPrompts, numPrompts),
	);
}
const full = rows[1]!;
const lines = [
	"# Throughput of a batch",
	"",
	`${device}.`,
	`100M shape, fp32 weights and cache, random weights; ${numPrompts} prompts of ${promptTokens} tokens given at once, ${outputTokens} tokens`,
	`decoded of each (the first row: 3 prompts); a pool of ${numBlocks} blocks of ${blockSize} a layer, which ${numBlocks / ((promptTokens + outputTokens) / blockSize)} full sequences fill. One run a row.`,
	"Tokens a second count prompt and output, as the paper does; times to first token are from the start.",
	"",
	"| policy | budget | tokens/s | over full | output tokens/s | at once | preemptions | TTFT, ms | TPOT, ms |",
	"|---|---|---|---|---|---|---|---|---|",
	...rows.map((row) => {
		const { name, budget, totalPerSecond, outputPerSecond, meanAtOnce, numPreemptions, ttftMs, tpotMs } = row;
		const over = (totalPerSecond / full.totalPerSecond).toFixed(2);
		return `| ${name} | ${budget} | ${totalPerSecond.toFixed(1)} | ${over}× | ${outputPerSecond.toFixed(1)} | ${meanAtOnce.toFixed(1)} | ${numPreemptions} | ${ttftMs.toFixed(0)} | ${tpotMs.toFixed(1)} |`;
	}),
	"",
	"Where the steps' time goes, in percent:",
	"",
	"| policy | budget | prefill | products by weights | attention | cache, scores, eviction | sampling, recording | swap |",
	"|---|---|---|---|---|---|---|---|",
	...rows.map(({ name, budget, shares }) => {
		const { prefill, products, attention, cache, sample, swap } = shares;
		const cells = [prefill, products, attention, cache, sample, swap].map((each) => each.toFixed(1));
		return `| ${name} | ${budget} | ${cells.join(" | ")} |`;
	}),
];
console.log(lines.join("\n"));
