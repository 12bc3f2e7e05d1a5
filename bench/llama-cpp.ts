// How fast are prefill and decode beside llama.cpp, on the same weights and threads? The engines take turns, round after
// round, and the read bandwidth is measured between them, so that a machine whose speed drifts is fair to all; medians.
// Prints Markdown; `--output FILE` also writes it, anew after every turn, so that a run that is stopped keeps its rows.
// `--cache FOLDER` (or OCTAVO_BENCH_CACHE) keeps llama.cpp's builds; `--types f32,f16,bf16` of weights, `--kv f32,f16` of
// octavo's keys and values, `--rounds N`, `--large N` (so many rounds of a shape of one billion, bf16), `--threads N`.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { engineInfo, type LlamaSpec } from "octavo";
import { type Engine, llamaBench, nodeLlamaCpp, octavo, type Speed, type Workload } from "./helpers/engines.js";
import { prepareLlamaCpp } from "./helpers/llama-cpp-builds.js";
import { type ModelFiles, type WeightType, writeRandomModel } from "./helpers/random-model.js";
import { measureReadBandwidth } from "./memory-bandwidth.js";

const shared = { rmsNormEps: 1e-5, ropeTheta: 10_000, maxPositions: 8192, headDim: 64, vocabSize: 32_000 };
const smallShape: LlamaSpec = {
	...{ numLayers: 12, hiddenSize: 768, intermediateSize: 2048, numQueryHeads: 12, numKvHeads: 4 },
	...{ tieWordEmbeddings: true, ...shared },
};
const largeShape: LlamaSpec = {
	...{ numLayers: 16, hiddenSize: 2048, intermediateSize: 8192, numQueryHeads: 32, numKvHeads: 8 },
	...{ tieWordEmbeddings: true, ...shared },
};
const contexts = [128, 1024, 4096] as const;
const budget = 256;

const { values: options } = parseArgs({
	options: {
		cache: { type: "string", default: process.env.OCTAVO_BENCH_CACHE ?? join(tmpdir(), "octavo-bench-llama-cpp") },
		output: { type: "string" },
		types: { type: "string", default: "f32,f16,bf16" },
		kv: { type: "string", default: "f32,f16" },
		large: { type: "string", default: "0" },
		rounds: { type: "string", default: "5" },
		threads: { type: "string", default: String(Math.min(2, availableParallelism())) },
	},
});
const numThreads = Number(options.threads);
const say = (text: string) => process.stderr.write(`${text}\n`);

function median(values: readonly number[]): number {
	const sorted = [...values].sort((a, b) => a - b);
	return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}

/** Everything measured on one model so far. */
interface Comparison {
	title: string;
	spec: LlamaSpec;
	files: ModelFiles;
	/** Bytes per second, one before each engine's turn. */
	bandwidths: number[];
	engines: { name: string; kvBytes: number; evicts: boolean; speeds: Speed[] }[];
}

/** Adds a comparison that grows turn by turn, and calls `save` after each. */
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
		const workload: Workload = { files, numThreads, numTokens: spec === largeShape ? 12 : 32, contexts };
		const results = engines.map(({ name, kvBytes }) => {
			return { name, kvBytes, evicts: name.startsWith("octavo"), speeds: [] as Speed[] };
		});
		const comparison: Comparison = { title, spec, files, bandwidths: [], engines: results };
		comparisons.push(comparison);
		for (let round = 0; round < numRounds; round++) {
			for (const [index, engine] of engines.entries()) {
				comparison.bandwidths.push(await measureReadBandwidth(numThreads));
				const speed = await engine.measure(workload);
				results[index]!.speeds.push(speed);
				const decode = contexts.map((context) => speed.decode[context]!.toFixed(1)).join(" / ");
				say(`${title}, round ${round + 1}: ${engine.name}: prefill ${speed.prefill.toFixed(0)}, decode ${decode}`);
				save();
			}
		}
	} finally {
		clean();
		process.off("exit", clean);
	}
}

const gigabytes = (bytes: number) => (bytes / 1e9).toFixed(1);

/** Bytes of keys and values that one decode step must read. */
function cacheBytes({ numLayers, numKvHeads, headDim }: LlamaSpec, kvBytes: number, kvLen: number): number {
	return 2 * kvBytes * numLayers * numKvHeads * headDim * kvLen;
}

function table({ title, spec, files, bandwidths, engines: all }: Comparison): string {
	const engines = all.filter(({ speeds }) => speeds.length > 0);
	const bandwidth = median(bandwidths);
	const of = (name: string, value: (speed: Speed) => number) =>
		median(engines.find((engine) => engine.name === name)!.speeds.map(value));
	const columns: {
		header: string;
		value: (speed: Speed) => number;
		limit?: (kvBytes: number) => number;
		digits: number;
	}[] = [
		{ header: "prefill 512", value: (speed) => speed.prefill, digits: 0 },
		...contexts.map((context) => ({
			header: `decode at ${context}`,
			value: (speed: Speed) => speed.decode[context]!,
			limit: (kvBytes: number) => bandwidth / (files.sizeBytes + cacheBytes(spec, kvBytes, context)),
			digits: 1,
		})),
	];
	const row = (name: string, cells: readonly string[]) => `| ${[name, ...cells].join(" | ")} |`;
	const others = engines.filter(({ evicts }) => !evicts);
	const own = engines.filter(({ evicts }) => evicts);
	const best = (value: (speed: Speed) => number) => Math.max(...others.map(({ name }) => of(name, value)));
	const ratios = (name: string) =>
		row(`**${name} ÷ the faster llama.cpp**`, [
			...columns.map(({ value }) => `**${(of(name, value) / best(value)).toFixed(2)}**`),
			"–",
		]);
	const evictions = own.map(({ name }) => {
		const evicting = of(name, (speed) => speed.evicting!);
		const full = of(name, (speed) => speed.decode[contexts.at(-1)!]!);
		return `${name}: ${evicting.toFixed(1)} tokens/s, ${(evicting / full).toFixed(2)} times its full cache`;
	});
	const peak = (name: string) => `${(of(name, (speed) => speed.peakBytes) / 2 ** 20).toFixed(0)} MiB`;
	return [
		`## ${title}`,
		"",
		`Weights ${(files.sizeBytes / 2 ** 20).toFixed(0)} MiB; read bandwidth between the runs ${gigabytes(bandwidth)} (${gigabytes(Math.min(...bandwidths))}–${gigabytes(Math.max(...bandwidths))}) GB/s; rounds: ${engines[0]!.speeds.length}.`,
		"",
		row("tokens/s", [...columns.map(({ header }) => header), "peak memory"]),
		`|${"---|".repeat(columns.length + 2)}`,
		...engines.map(({ name }) =>
			row(name, [...columns.map(({ value, digits }) => of(name, value).toFixed(digits)), peak(name)]),
		),
		...own.flatMap(({ name, kvBytes }) => [
			...(others.length > 0 ? [ratios(name)] : []),
			row(`${name} ÷ its limit of reading once`, [
				...columns.map(({ value, limit }) =>
					limit === undefined
						? "–"
						: `${(of(name, value) / limit(kvBytes)).toFixed(2)} of ${limit(kvBytes).toFixed(1)}`,
				),
				"–",
			]),
		]),
		"",
		`With paged-eviction at budget ${budget} after a prompt of ${contexts.at(-1)}: ${evictions.join("; ")}.`,
	].join("\n");
}

function report(comparisons: readonly Comparison[], version: string, loadBefore: number): string {
	const { simd, gemm } = engineInfo();
	return [
		"# Speed beside llama.cpp",
		"",
		`${cpus()[0]?.model.trim() ?? "unknown processor"}, ${cpus().length} cores, ${numThreads} threads, ${new Date().toISOString().slice(0, 10)}; octavo: ${simd}, GEMM ${gemm}; ${version}.`,
		`Load average ${loadBefore.toFixed(1)} before and ${loadavg()[0]!.toFixed(1)} after: near 0 and ${numThreads} on an idle machine; above, other programs`,
		"took their share from every engine. The engines take turns; medians of the rounds. Random weights, the same numbers for",
		"all; llama.cpp's cache is its default. The limit is the median bandwidth measured between the runs (a search for a byte,",
		"all threads) over the bytes of weights and of the cache.",
		"",
		comparisons.map(table).join("\n\n"),
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
