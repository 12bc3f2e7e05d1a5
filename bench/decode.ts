// How many tokens a second does decoding give, how near is that to the memory's limit, and what does stepping cost over
// a free run? Prints Markdown; `--json FILE` also writes the numbers. Weights are random: speed does not depend on them.

import { writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { engineInfo, type LlamaSpec, type Model, type Policy, policies, randomModel, type Session } from "octavo";
import { smallShape, tinyShape } from "./helpers/shapes.js";
import { measureReadBandwidth } from "./memory-bandwidth.js";

const shapes: Record<string, LlamaSpec> = { "recall-tiny": tinyShape, "100M": smallShape };
const contexts = [128, 1024, 4096];
const numRepeats = 7;
const numTurns = 41;

/** Median and spread of repeated measurements. */
interface Spread {
	median: number;
	min: number;
	max: number;
}

function spread(values: number[]): Spread {
	const sorted = [...values].sort((a, b) => a - b);
	return { median: sorted[sorted.length >> 1]!, min: sorted[0]!, max: sorted.at(-1)! };
}

const show = ({ median, min, max }: Spread, digits = 1) =>
	`${median.toFixed(digits)} (${min.toFixed(digits)}–${max.toFixed(digits)})`;

function prepare(
	model: Model,
	policy: Policy,
	context: number,
	recordBlocks = false,
): { session: Session; us: number } {
	const session = model.session({ policy, recordBlocks, numBlocks: 512 });
	const prompt = Int32Array.from({ length: context }, (_, i) => (i * 7919 + 13) % model.config.vocabSize);
	const { us } = session.prefillSync(prompt);
	return { session, us };
}

/** Bytes that one decode step must read: every weight once, the looked-up row of an untied embedding apart, and the cache. */
function bytesPerToken(model: Model, kvLen: number): number {
	const { numLayers, numKvHeads, headDim, hiddenSize, vocabSize, tieWordEmbeddings } = model.config;
	const unread = tieWordEmbeddings ? 0 : 4 * hiddenSize * vocabSize;
	return model.sizeBytes - unread + 2 * 4 * numLayers * numKvHeads * headDim * kvLen;
}

interface Throughput {
	shape: string;
	policy: string;
	context: number;
	prefillTokensPerSecond: number;
	tokensPerSecond: Spread;
	/** Bytes of weights and cache that a token must read. */
	bytesPerToken: number;
}

function measureThroughput(shape: string, model: Model, policy: Policy, context: number): Throughput {
	const { session, us } = prepare(model, policy, context);
	const numTokens = shape === "100M" ? 16 : 64;
	session.runSync({ maxTokens: numTokens, endTokens: [] });
	const rates = Array.from({ length: numRepeats }, () => {
		const start = performance.now();
		session.runSync({ maxTokens: numTokens, endTokens: [] });
		return (numTokens * 1000) / (performance.now() - start);
	});
	const kvLen = session.layer(0).kvLen;
	session.close();
	return {
		...{ shape, policy: policy.name, context, prefillTokensPerSecond: (context * 1e6) / us },
		tokensPerSecond: spread(rates),
		bytesPerToken: bytesPerToken(model, kvLen),
	};
}

interface Overhead {
	shape: string;
	way: string;
	usPerToken: Spread;
	/** Over the free run of the same turn: median of the turns, and the middle half of them. */
	overFreeUs: Spread;
	/** The same as a share of the free run. */
	overFree: Spread;
}

/** Median and quartiles: a turn in which another program ran says nothing. */
function middle(values: number[]): Spread {
	const sorted = [...values].sort((a, b) => a - b);
	const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))]!;
	return { median: at(0.5), min: at(0.25), max: at(0.75) };
}

const ways: Record<string, (session: Session, maxTokens: number) => Promise<unknown>> = {
	"free run": (session, maxTokens) => session.run({ maxTokens, endTokens: [] }),
	"`for await … of steps()`": async (session, maxTokens) => {
		for await (const step of session.steps({ maxTokens, endTokens: [] })) if (step.evictions.length > 99) break;
	},
	"`stepSync()`": async (session, maxTokens) => {
		for (let i = 0; i < maxTokens; i++) session.stepSync();
	},
	"`await step()`": async (session, maxTokens) => {
		for (let i = 0; i < maxTokens; i++) await session.step();
	},
};

async function measureOverhead(shape: string, model: Model): Promise<Overhead[]> {
	const numTokens = shape === "100M" ? 8 : 150; // of all turns together, fewer than the model has positions
	const policy = policies.pagedEviction({ budget: 128 });
	const sessions = Object.keys(ways).map(() => prepare(model, policy, 256, true).session);
	const runs = Object.values(ways);
	const times: number[][] = sessions.map(() => []);
	// Ways take turns, and another goes first each time, so that a slow moment of the machine does not fall on one of them;
	// the first turn warms up.
	for (let turn = 0; turn <= numTurns; turn++) {
		for (let place = 0; place < runs.length; place++) {
			const i = (place + turn) % runs.length;
			const start = performance.now();
			await runs[i]!(sessions[i]!, numTokens);
			if (turn > 0) times[i]!.push(((performance.now() - start) * 1000) / numTokens);
		}
	}
	for (const session of sessions) session.close();
	const free = times[0]!;
	return Object.keys(ways).map((way, i) => ({
		...{ shape, way, usPerToken: spread(times[i]!) },
		overFreeUs: middle(times[i]!.map((us, turn) => us - free[turn]!)),
		overFree: middle(times[i]!.map((us, turn) => us / free[turn]! - 1)),
	}));
}

function markdown(device: string, bandwidth: number, throughput: Throughput[], overhead: Overhead[]): string {
	const limitOf = (row: Throughput) => bandwidth / row.bytesPerToken;
	const lines = [
		"# Decode speed",
		"",
		`${device}; read bandwidth, the best in the same run: ${(bandwidth / 1e9).toFixed(1)} GB/s.`,
		`fp32 weights and cache, blocks of 16, one sequence. Medians of ${numRepeats} repeats (least–most). The limit is`,
		"bandwidth ÷ bytes of weights and cache that a token must read; recall-tiny's lie in the processor's caches, which that",
		"limit does not describe.",
		"",
		"| shape | policy | context | prefill, tokens/s | decode, tokens/s | limit | share |",
		"|---|---|---|---|---|---|---|",
		...throughput.map((row) => {
			const share = row.shape === "100M" ? `${((100 * row.tokensPerSecond.median) / limitOf(row)).toFixed(0)} %` : "–";
			const limit = row.shape === "100M" ? limitOf(row).toFixed(1) : "–";
			return `| ${row.shape} | ${row.policy} | ${row.context} | ${row.prefillTokensPerSecond.toFixed(0)} | ${show(row.tokensPerSecond)} | ${limit} | ${share} |`;
		}),
		"",
		`Stepping, paged-eviction at budget 128, block rows recorded; ${numTurns} turns, each of all ways. Over the free run of the`,
		"same turn: median (the middle half of the turns).",
		"",
		"| shape | way | µs a token | over the free run, µs | share |",
		"|---|---|---|---|---|",
		...overhead.map(({ shape, way, usPerToken, overFreeUs, overFree }) => {
			const { median, min, max } = overFree;
			const share = show({ median: 100 * median, min: 100 * min, max: 100 * max });
			return `| ${shape} | ${way} | ${show(usPerToken)} | ${show(overFreeUs)} | ${share} % |`;
		}),
	];
	return lines.join("\n");
}

const jsonIndex = process.argv.indexOf("--json");
const { simd, gemm, numThreads } = engineInfo();
const load = `load average before it ${loadavg()[0]!.toFixed(1)}`;
const device = `${cpus()[0]?.model ?? "unknown processor"}, ${numThreads} threads, ${simd}, GEMM ${gemm}, ${load}`;
// Measured several times over the run, since the best is what the machine can do.
const bandwidths = [await measureReadBandwidth(numThreads)];
const throughput: Throughput[] = [];
const overhead: Overhead[] = [];
for (const [name, shape] of Object.entries(shapes)) {
	using model = randomModel(shape, 1);
	for (const context of contexts) {
		process.stderr.write(`${name}, context ${context}\n`);
		throughput.push(measureThroughput(name, model, policies.full(), context));
		bandwidths.push(await measureReadBandwidth(numThreads));
	}
	throughput.push(measureThroughput(name, model, policies.pagedEviction({ budget: 256 }), 4096));
	overhead.push(...(await measureOverhead(name, model)));
}
const bandwidth = Math.max(...bandwidths);
console.log(markdown(device, bandwidth, throughput, overhead));
if (jsonIndex >= 0) {
	writeFileSync(
		process.argv[jsonIndex + 1]!,
		`${JSON.stringify({ device, bandwidth, throughput, overhead }, null, "\t")}\n`,
	);
}
