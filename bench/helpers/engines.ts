// The three engines that bench/llama-cpp.ts sets side by side, each measured once by a process that starts, works and ends.

import { fileURLToPath } from "node:url";
import type { LlamaCppBuilds } from "./llama-cpp-builds.js";
import { runMeasured } from "./measured-child.js";
import type { ModelFiles } from "./random-model.js";

/** One measurement; tokens per second. */
export interface Speed {
	/** Prefill of 512 tokens. */
	prefill: number;
	/** Decode with a cache of so many tokens. */
	decode: Record<number, number>;
	/** Decode after a prompt of the last context with paged-eviction at budget 256; octavo only. */
	evicting?: number;
	/** Peak resident memory in bytes. */
	peakBytes: number;
}

/** What to measure. */
export interface Workload {
	files: ModelFiles;
	numThreads: number;
	numTokens: number;
	contexts: readonly number[];
}

/** An engine's name in the table, and one run of it. */
export interface Engine {
	name: string;
	/** Bytes that a number of its cache takes. */
	kvBytes: number;
	measure: (workload: Workload) => Promise<Speed>;
}

const program = (name: string) => fileURLToPath(new URL(`./${name}.js`, import.meta.url));
const lastLine = (text: string) => JSON.parse(text.trim().split("\n").at(-1)!) as Omit<Speed, "peakBytes">;

/** octavo from this repository, with keys and values stored as `kvDtype`. */
export function octavo(kvDtype: "f32" | "bf16" | "f16"): Engine {
	return {
		name: `octavo, ${kvDtype} cache`,
		kvBytes: kvDtype === "f32" ? 4 : 2,
		async measure({ files, numThreads, numTokens, contexts }) {
			const rest = [files.folder, numThreads, numTokens, contexts.join(","), kvDtype].map(String);
			const { stdout, peakBytes } = await runMeasured(process.execPath, [program("octavo-speed"), ...rest]);
			return { ...lastLine(stdout), peakBytes };
		},
	};
}

interface LlamaBenchRow {
	n_depth: number;
	avg_ts: number;
}

/** llama-bench with its own defaults (cache in f16, flash attention where it thinks best), fit to one sequence. */
export function llamaBench({ llamaBench }: LlamaCppBuilds): Engine {
	return {
		name: "llama.cpp built here, f16 cache",
		kvBytes: 2,
		async measure({ files, numThreads, numTokens, contexts }) {
			const run = async (...args: string[]) => {
				const shared = ["-m", files.gguf, "-t", String(numThreads), "-r", "1", "-o", "json"];
				const { stdout, peakBytes } = await runMeasured(llamaBench, [...shared, ...args]);
				return { rows: JSON.parse(stdout) as LlamaBenchRow[], peakBytes };
			};
			const prefill = await run("-p", "512", "-n", "0");
			const decode = await run("-p", "0", "-n", String(numTokens), "-d", contexts.join(","));
			return {
				prefill: prefill.rows[0]!.avg_ts,
				decode: Object.fromEntries(decode.rows.map((row) => [row.n_depth, row.avg_ts])),
				peakBytes: Math.max(prefill.peakBytes, decode.peakBytes),
			};
		},
	};
}

/** node-llama-cpp with the library it brings. */
export function nodeLlamaCpp({ packageFolder }: LlamaCppBuilds): Engine {
	return {
		name: "node-llama-cpp prebuilt, f16 cache",
		kvBytes: 2,
		async measure({ files, numThreads, numTokens, contexts }) {
			const rest = [packageFolder, files.gguf, numThreads, numTokens, contexts.join(",")].map(String);
			const { stdout, peakBytes } = await runMeasured(process.execPath, [program("node-llama-cpp-speed"), ...rest]);
			return { ...lastLine(stdout), peakBytes };
		},
	};
}
