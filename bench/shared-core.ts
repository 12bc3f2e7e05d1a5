// How much of its decoding speed does the engine keep when another program takes one core for itself? The engine's threads
// share what is left. Prints Markdown, and writes it with `--output FILE`.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { engineInfo, policies, randomModel } from "octavo";
import { smallShape } from "./helpers/shapes.js";

const { values: options } = parseArgs({
	options: { output: { type: "string" }, rounds: { type: "string", default: "5" } },
});
const numTokens = 48;

/** A program that computes without end on one thread. */
async function takeCore(): Promise<ChildProcess> {
	const child = spawn(process.execPath, ["-e", "process.stdout.write('x'); for (;;);"], {
		stdio: ["ignore", "pipe", 2],
	});
	await once(child.stdout!, "data");
	return child;
}

const median = (values: number[]) => [...values].sort((a, b) => a - b)[values.length >> 1]!;

using model = randomModel(smallShape, 1);
const session = model.session({ policy: policies.full(), recordBlocks: false, numBlocks: 256 });
session.prefillSync(Int32Array.from({ length: 128 }, (_, i) => i));
const speed = () => {
	const start = performance.now();
	session.runSync({ maxTokens: numTokens, endTokens: [] });
	return (numTokens * 1000) / (performance.now() - start);
};
speed(); // warms up
const alone: number[] = [];
const beside: number[] = [];
const load = loadavg()[0]!;
for (let round = 0; round < Number(options.rounds); round++) {
	alone.push(speed());
	const other = await takeCore();
	try {
		beside.push(speed());
	} finally {
		other.kill("SIGKILL");
		await once(other, "exit");
	}
}
session.close();
const { simd, numThreads } = engineInfo();
const text = [
	"# Decoding beside another program",
	"",
	`${cpus()[0]?.model.trim() ?? "unknown processor"}, ${availableParallelism()} cores, ${numThreads} threads, ${simd}; load average before it ${load.toFixed(1)}.`,
	`100M shape in f32, context 128, medians of ${options.rounds} rounds of ${numTokens} tokens that take turns.`,
	"",
	"| | tokens/s |",
	"|---|---|",
	`| alone | ${median(alone).toFixed(1)} |`,
	`| one core taken by another program | ${median(beside).toFixed(1)} |`,
	`| share kept | ${(median(beside) / median(alone)).toFixed(2)} |`,
].join("\n");
console.log(text);
if (options.output !== undefined) writeFileSync(options.output, `${text}\n`);
