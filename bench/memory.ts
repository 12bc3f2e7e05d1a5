// How much resident memory does a run take above the runtime's own, its weights and its cache? Prints Markdown, and writes it
// with `--output FILE`. Each run has a process of its own, as peaks do not go down; weights are mapped, so the pages that were
// read count.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { engineInfo, type LlamaSpec } from "octavo";
import { type WeightType, writeRandomModel } from "./helpers/random-model.js";
import { smallShape } from "./helpers/shapes.js";

const { values: options } = parseArgs({ options: { output: { type: "string" } } });
const tiny: LlamaSpec = {
	...{ numLayers: 1, hiddenSize: 64, intermediateSize: 128, numQueryHeads: 2, numKvHeads: 1, headDim: 32 },
	...{ vocabSize: 64, maxPositions: 1024, rmsNormEps: 1e-5, ropeTheta: 10_000, tieWordEmbeddings: true },
};
// Of weights and of the cache.
const types: [WeightType, "f32" | "bf16" | "f16"][] = [
	["f32", "f32"],
	["bf16", "f32"],
	["bf16", "bf16"],
	["f16", "f16"],
];
const promptLengths = [512, 1024, 4096];
const numRuns = 3;
// As the helper names them.
const cutting = [
	...["streaming-llm", "paged-eviction", "paged-eviction, evicted", "paged-eviction, per head", "key-diff", "h2o"],
	...["snap-kv", "paged-eviction, mean of layers"],
];

interface Peak {
	runtimeBytes: number;
	weightBytes: number;
	cacheBytes: number;
	peakBytes: number;
}

const { simd, gemm, numThreads } = engineInfo();
const mebibytes = (bytes: number) => (bytes / 2 ** 20).toFixed(0);
const child = fileURLToPath(new URL("./helpers/octavo-memory.js", import.meta.url));

/** Cells of a row: runtime, weights, cache, peak, over and its share, medians of the runs. */
function measure(folder: string, length: number, kvDtype: string, policy: string): string {
	const args = [child, join(folder, "model"), join(folder, "tiny"), String(length), kvDtype, policy];
	const runs = Array.from({ length: numRuns }, () => {
		const peak = JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" })) as Peak;
		return { ...peak, over: peak.peakBytes - peak.runtimeBytes - peak.weightBytes - peak.cacheBytes };
	}).sort((a, b) => a.over - b.over);
	const { runtimeBytes, weightBytes, cacheBytes, peakBytes, over } = runs[Math.floor(numRuns / 2)]!;
	const cells = [runtimeBytes, weightBytes, cacheBytes, peakBytes, over].map(mebibytes);
	const share = (bytes: number) => ((100 * bytes) / (weightBytes + cacheBytes)).toFixed(1);
	return `${cells.join(" | ")} | ${share(over)} % (${share(runs[0]!.over)}–${share(runs.at(-1)!.over)}) |`;
}

const whole: string[] = [];
const scored: string[] = [];
for (const [type, kvDtype] of types) {
	const folder = mkdtempSync(join(tmpdir(), "octavo-bench-memory-"));
	try {
		writeRandomModel(join(folder, "model"), smallShape, type);
		writeRandomModel(join(folder, "tiny"), tiny, type);
		for (const length of promptLengths)
			whole.push(`| ${type} | ${kvDtype} | ${length} | ${measure(folder, length, kvDtype, "full")}`);
		if (kvDtype !== "f32") continue;
		for (const policy of cutting) scored.push(`| ${type} | ${policy} | ${measure(folder, 4096, kvDtype, policy)}`);
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}
const lines = [
	"# Peak memory",
	"",
	`${cpus()[0]?.model.trim() ?? "unknown processor"}, ${numThreads} threads, ${simd}, GEMM ${gemm}; 100M shape, full cache, 16 decoded tokens.`,
	"MiB of resident memory. The runtime is Node.js with octavo and its GEMM loaded and a tiny model run. Over is what the peak",
	`has beyond runtime, weights and cache, and its share of those two: the median of ${numRuns} runs (least–most).`,
	"",
	"| weights in | cache in | prompt | runtime | weights | cache | peak | over | share |",
	"|---|---|---|---|---|---|---|---|---|",
	...whole,
	"",
	"A prompt of 4096 that a policy scores or cuts to a budget of 1024, cache in f32. Whatever stays in the cache, the prompt holds",
	"the hidden states of all its tokens (12 MiB) and a layer's keys and values of all of them, by which they are chosen (8); besides,",
	"of a slice of 768 tokens the queries (2), of 256 of them the products (5), of a KV head the keys and values as attention reads",
	"them (2), and what the GEMM library takes. The first two are the least that layer by layer can take: 20 MiB are 4.9 % of f32 weights",
	"and cache and 9.3 % of bf16 ones, less in a larger model. A mean over layers chooses after the last one: keys and values of all (96).",
	"",
	"| weights in | policy | runtime | weights | cache | peak | over | share |",
	"|---|---|---|---|---|---|---|---|",
	...scored,
];
const text = lines.join("\n");
console.log(text);
if (options.output !== undefined) writeFileSync(options.output, `${text}\n`);
