// The three engines that bench/llama-cpp.ts sets side by side, each measured once by a process that starts, works and ends.

import { fileURLToPath } from "node:url";
import type { LlamaCppBuilds } from "./llama-cpp-builds.js";
import { runMeasured } from "./measured-child.js";
import type { ModelFiles } from "./random-model.js";

/** What is measured at a time. `evicting`: decode after a prompt of the context with paged-eviction at budget 256. */
export interface Cell {
	phase: "prefill" | "decode" | "evicting";
	/** Tokens of the prompt: those measured, or those cached before the decoded ones. */
	context: number;
}

/** One measurement of a cell. */
export interface Measurement {
	tokensPerSecond: number;
	/** Peak resident memory in bytes. */
	peakBytes: number;
}

/** What to measure with. */
export interface Workload {
	files: ModelFiles;
	numThreads: number;
	/** Tokens that a decode cell times. */
	numTokens: number;
}

/** An engine's name in the table, and one run of it. */
export interface Engine {
	name: string;
	/** Bytes that a number of its cache takes. */
	kvBytes: number;
	/** Whether it is octavo, which alone evicts. */
	isOwn: boolean;
	measure: (workload: Workload, cell: Cell) => Promise<Measurement>;
}

const program = (name: string) => fileURLToPath(new URL(`./${name}.js`, import.meta.url));

async function runNode(name: string, args: readonly (string | number)[]): Promise<Measurement> {
	const { stdout, peakBytes } = await runMeasured(process.execPath, [program(name), ...args.map(String)]);
	return { tokensPerSecond: Number(stdout.trim().split("\n").at(-1)), peakBytes };
}

/** octavo from this repository, with keys and values stored as `kvDtype`. */
export function octavo(kvDtype: "f32" | "bf16" | "f16"): Engine {
	return {
		name: `octavo, ${kvDtype} cache`,
		kvBytes: kvDtype === "f32" ? 4 : 2,
		isOwn: true,
		measure: ({ files, numThreads, numTokens }, { phase, context }) =>
			runNode("octavo-speed", [files.folder, numThreads, phase, context, numTokens, kvDtype]),
	};
}

/** llama-bench with its own defaults (cache in f16, flash attention where it thinks best), fit to one sequence. */
export function llamaBench({ llamaBench }: LlamaCppBuilds): Engine {
	return {
		name: "llama.cpp built here, f16 cache",
		kvBytes: 2,
		isOwn: false,
		async measure({ files, numThreads, numTokens }, { phase, context }) {
			const work = phase === "prefill" ? ["-p", context, "-n", 0] : ["-p", 0, "-n", numTokens, "-d", context];
			const shared = ["-m", files.gguf, "-t", numThreads, "-r", 1, "-o", "json"];
			const { stdout, peakBytes } = await runMeasured(llamaBench, [...shared, ...work].map(String));
			const [row] = JSON.parse(stdout) as { avg_ts: number }[];
			return { tokensPerSecond: row!.avg_ts, peakBytes };
		},
	};
}

/** node-llama-cpp with the library it brings. */
export function nodeLlamaCpp({ packageFolder }: LlamaCppBuilds): Engine {
	return {
		name: "node-llama-cpp prebuilt, f16 cache",
		kvBytes: 2,
		isOwn: false,
		measure: ({ files, numThreads, numTokens }, { phase, context }) =>
			runNode("node-llama-cpp-speed", [packageFolder, files.gguf, numThreads, phase, context, numTokens]),
	};
}
