// How fast are prefill and decode beside llama.cpp, on the same weights and threads? The engines take turns at each cell of
// the table, round after round, and the read bandwidth is measured before each, so that a machine whose speed drifts is fair
// to all; medians.
// Prints Markdown; `--output FILE` also writes it, anew after every turn, so that a run that is stopped keeps its rows.
// `--cache FOLDER` (or OCTAVO_BENCH_CACHE) keeps llama.cpp's builds; `--types f32,f16,bf16` of weights, `--kv f32,f16` of
// octavo's keys and values, `--rounds N`, `--large N` (so many rounds of a shape of one billion, bf16), `--threads N`.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { engineInfo, type LlamaSpec } from "octavo";
import { type ComparedModel, comparisonTable, type Run } from "./helpers/comparison-table.js";
import { type Cell, type Engine, llamaBench, nodeLlamaCpp, octavo, type Workload } from "./helpers/engines.js";
import { prepareLlamaCpp } from "./helpers/llama-cpp-builds.js";
import { type WeightType, writeRandomModel } from "./helpers/random-model.js";
import { smallShape } from "./helpers/shapes.js";
import { measureReadBandwidth } from "./memory-bandwidth.js";

const largeShape: LlamaSpec = {
	...{ numLayers: 16, hiddenSize: 2048, intermediateSize: 8192, numQueryHeads: 32, numKvHeads: 8, headDim: 64 },
	...{ vocabSize: 32_000, tieWordEmbeddings: true, rmsNormEps: 1e-5, ropeTheta: 10_000, maxPositions: 8192 },
};
const cells: readonly Cell[] = [
	{ phase: "prefill", context: 512 },
	...[128, 1024, 4096].map((context): Cell => ({ phase: "decode", context })),
	{ phase: "evicting", context: 4096 },
];
const budget = 256;

const { values: options } = parseArgs({
	options: {
		cache: { type: "string", default: process.env.OCTAVO_BENCH_CACHE ?? join(tmpdir(), "octavo-bench-llama-cpp") },
		output: { type: "string" },
		types: { type: "string", default: "f32,f16,bf16" },
		kv: { type: "string", default: "f32,f16" },
		large: { type: "string", default: "0" },
		rounds: { type: "string", default: "3" },
		threads: { type: "string", default: String(Math.min(2, availableParallelism())) },
	},
});
const numThreads = Number(options.threads);
const say = (text: string) => process.stderr.write(`${text}\n`);

/** Everything measured on one model so far: a run of each cell by each engine, round after round. */
interface Comparison extends ComparedModel {
	title: string;
	runs: Run[];
}

/** Adds a comparison that grows run by run, and calls `save` after each cell. */
async function compare(
	title: string,
	spec: LlamaSpec,
	type: WeightType,
	engines: readonly Engine[],
	numRounds: number,
	comparisons: Comparison[],
	save: () => void,
): Promise<void> {
	const folder = mkdtempSync(join(tmpdir(), "octavo-bench-model-"));
	const clean = () => rmSync(folder, { recursive: true, force: true });
	process.once("exit", clean);
	try {
		say(`${title}: writing the model`);
		const files = writeRandomModel(join(folder, "model"), spec, type);
		const workload: Workload = { files, numThreads, numTokens: spec === largeShape ? 16 : 96 };
		const comparison: Comparison = { title, spec, weightBytes: files.sizeBytes, runs: [] };
		comparisons.push(comparison);
		for (let round = 0; round < numRounds; round++) {
			for (const cell of cells) {
				// Who comes first changes from round to round: the first run after a pause is not always the same engine's.
				for (let turn = 0; turn < engines.length; turn++) {
					const engine = engines[(turn + round) % engines.length]!;
					if (cell.phase === "evicting" && !engine.isOwn) continue;
					const bandwidth = await measureReadBandwidth(numThreads);
					const measured = await engine.measure(workload, cell);
					comparison.runs.push({ engine, cell, round, bandwidth, ...measured });
					const speed = `${measured.tokensPerSecond.toFixed(1)} tokens/s at ${(bandwidth / 1e9).toFixed(1)} GB/s`;
					say(`${title}, round ${round + 1}: ${cell.phase} ${cell.context}: ${engine.name}: ${speed}`);
				}
				save();
			}
		}
	} finally {
		clean();
		process.off("exit", clean);
	}
}

function report(comparisons: readonly Comparison[], version: string, loadBefore: number): string {
	const { simd, gemm } = engineInfo();
	return [
		"# Speed beside llama.cpp",
		"",
		`${cpus()[0]?.model.trim() ?? "unknown processor"}, ${cpus().length} cores, ${numThreads} threads, ${new Date().toISOString().slice(0, 10)}; octavo: ${simd}, GEMM ${gemm}; ${version}.`,
		`Load average ${loadBefore.toFixed(1)} before and ${loadavg()[0]!.toFixed(1)} after: near 0 and ${numThreads} on an idle machine; above, other programs`,
		"took their share from every engine. The engines take turns within each cell; medians (least–most) of the rounds, ratios of",
		"runs of one round. Random weights, the same numbers for all; llama.cpp's cache is its default. The limit is the bandwidth measured",
		"right before each run of the cell (a search for a byte, all threads), its median, over the bytes of weights and of the",
		"cache that a token reads.",
		"",
		comparisons
			.map(({ title, runs, ...model }) => `## ${title}\n\n${comparisonTable(model, runs, cells, budget)}`)
			.join("\n\n"),
	].join("\n");
}

// Gigabytes of models must not stay behind a run that is stopped.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
const builds = await prepareLlamaCpp(options.cache, say);
const kvTypes = options.kv.split(",") as ("f32" | "bf16" | "f16")[];
const engines = [...kvTypes.map(octavo), llamaBench(builds), nodeLlamaCpp(builds)];
const loadBefore = loadavg()[0]!;
const comparisons: Comparison[] = [];
const save = () => {
	if (options.output !== undefined)
		writeFileSync(options.output, `${report(comparisons, builds.version, loadBefore)}\n`);
};
for (const type of options.types.split(",").filter((type) => type !== "") as WeightType[]) {
	await compare(`100M shape, ${type}`, smallShape, type, engines, Number(options.rounds), comparisons, save);
}
const largeRounds = Number(options.large);
if (largeRounds > 0) await compare("1B shape, bf16", largeShape, "bf16", engines, largeRounds, comparisons, save);
console.log(report(comparisons, builds.version, loadBefore));
