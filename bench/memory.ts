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
// Of weights and of the cache.
const types: [WeightType, "f32" | "bf16" | "f16"][] = [
	["f32", "f32"],
	["bf16", "f32"],
	["bf16", "bf16"],
	["f16", "f16"],
];
const promptLengths = [512, 4096];

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
	"has beyond runtime, weights and cache, and its share of weights and cache.",
	"",
	"| weights in | cache in | prompt | runtime | weights | cache | peak | over | share |",
	"|---|---|---|---|---|---|---|---|---|",
];
const child = fileURLToPath(new URL("./helpers/octavo-memory.js", import.meta.url));
for (const [type, kvDtype] of types) {
	const folder = mkdtempSync(join(tmpdir(), "octavo-bench-memory-"));
	try {
		writeRandomModel(join(folder, "model"), spec, type);
		for (const length of promptLengths) {
			const text = execFileSync(process.execPath, [child, join(folder, "model"), String(length), kvDtype], {
				encoding: "utf8",
			});
			const { runtimeBytes, weightBytes, cacheBytes, peakBytes } = JSON.parse(text) as Peak;
			const over = peakBytes - runtimeBytes - weightBytes - cacheBytes;
			const cells = [runtimeBytes, weightBytes, cacheBytes, peakBytes, over].map(mebibytes);
			const share = ((100 * over) / (weightBytes + cacheBytes)).toFixed(1);
			lines.push(`| ${type} | ${kvDtype} | ${length} | ${cells.join(" | ")} | ${share} % |`);
		}
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}
const text = lines.join("\n");
console.log(text);
if (options.output !== undefined) writeFileSync(options.output, `${text}\n`);
