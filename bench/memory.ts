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

const spec: LlamaSpec = {
	...{ numLayers: 12, hiddenSize: 768, intermediateSize: 2048, numQueryHeads: 12, numKvHeads: 4, headDim: 64 },
	...{ vocabSize: 32_000, maxPositions: 8192, rmsNormEps: 1e-5, ropeTheta: 10_000, tieWordEmbeddings: true },
};
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

interface Peak {
	runtimeBytes: number;
	weightBytes: number;
	cacheBytes: number;
	peakBytes: number;
}

const { simd, gemm, numThreads } = engineInfo();
const mebibytes = (bytes: number) => (bytes / 2 ** 20).toFixed(0);
const lines = [
	"# Peak memory",
	"",
	`${cpus()[0]?.model.trim() ?? "unknown processor"}, ${numThreads} threads, ${simd}, GEMM ${gemm}; 110M shape, full cache, 16 decoded tokens.`,
	"MiB of resident memory. The runtime is Node.js with octavo and its GEMM loaded and a tiny model run. Over is what the peak",
	`has beyond runtime, weights and cache, and its share of those two: the median of ${numRuns} runs (least–most).`,
	"",
	"| weights in | cache in | prompt | runtime | weights | cache | peak | over | share |",
	"|---|---|---|---|---|---|---|---|---|",
];
const child = fileURLToPath(new URL("./helpers/octavo-memory.js", import.meta.url));
for (const [type, kvDtype] of types) {
	const folder = mkdtempSync(join(tmpdir(), "octavo-bench-memory-"));
	try {
		writeRandomModel(join(folder, "model"), spec, type);
		writeRandomModel(join(folder, "tiny"), tiny, type);
		for (const length of promptLengths) {
			const args = [child, join(folder, "model"), join(folder, "tiny"), String(length), kvDtype];
			const runs = Array.from({ length: numRuns }, () => {
				const peak = JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" })) as Peak;
				return { ...peak, over: peak.peakBytes - peak.runtimeBytes - peak.weightBytes - peak.cacheBytes };
			}).sort((a, b) => a.over - b.over);
			const { runtimeBytes, weightBytes, cacheBytes, peakBytes, over } = runs[Math.floor(numRuns / 2)]!;
			const cells = [runtimeBytes, weightBytes, cacheBytes, peakBytes, over].map(mebibytes);
			const share = (bytes: number) => ((100 * bytes) / (weightBytes + cacheBytes)).toFixed(1);
			const spread = `${share(over)} % (${share(runs[0]!.over)}–${share(runs.at(-1)!.over)})`;
			lines.push(`| ${type} | ${kvDtype} | ${length} | ${cells.join(" | ")} | ${spread} |`);
		}
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}
const text = lines.join("\n");
console.log(text);
if (options.output !== undefined) writeFileSync(options.output, `${text}\n`);
