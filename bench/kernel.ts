// How fast is a cell? Drives this kernel, and tslab's own beside it, over raw ZeroMQ: start, one-line cells, completion,
// 10,000 printed lines. Both run in the same minute on the same machine, so that their ratio means something.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus, loadavg } from "node:os";
import { dirname, join } from "node:path";
import { KernelClient } from "../test/helpers/kernel-client.js";

interface Measured {
	/** Milliseconds each, but for the two counts. */
	startToInfo: number;
	startToFirstCell: number;
	cellMedian: number;
	cellP95: number;
	cellAfterImportMedian: number;
	completeMedian: number;
	linesToIdle: number;
	linesArrived: number;
	memoryMiB: number;
}

const rounds = 5;
/** Few: tslab stops answering after some 140 requests in quick succession. */
const cells = 50;
const warmUp = 15;
const numLines = 10_000;

/** Resident memory of a process and of what it started; Linux only. */
function residentMiB(pid: number): number {
	const resident = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
	const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean);
	return children.reduce((sum, child) => sum + residentMiB(Number(child)), resident);
}

/** Where both kernels run: a folder in which both find apache-arrow. */
const folder = join(import.meta.dirname, "..", "..");

const quantile = (values: readonly number[], part: number): number =>
	[...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(part * values.length))]!;

async function time(run: () => Promise<unknown>): Promise<number> {
	const start = performance.now();
	await run();
	return performance.now() - start;
}

async function repeat(count: number, run: (index: number) => Promise<unknown>): Promise<number[]> {
	const times = [];
	for (let index = 0; index < count; index++) times.push(await time(() => run(index)));
	return times;
}

async function measure(argv: string[] | undefined, importing: string): Promise<Measured> {
	const start = performance.now();
	const kernel = await KernelClient.start(argv === undefined ? { folder } : { folder, argv });
	try {
		await kernel.execute("1");
		const startToFirstCell = performance.now() - start;
		// To the reply, not to idle: tslab loses its idle message after some hundred cells.
		const run = (code: string) => kernel.ask("execute_request", { code });
		const line = (index: number) => run(`const value${index % 5}: number = ${index} * 2; value${index % 5}`);
		await repeat(warmUp, line);
		const cellTimes = await repeat(cells, line);
		const ask = () => kernel.ask("complete_request", { code: "value1.toF", cursor_pos: 10 });
		await repeat(3, ask);
		const completeMedian = quantile(await repeat(15, ask), 0.5);
		await run(importing);
		await repeat(5, line);
		const cellAfterImportMedian = quantile(await repeat(15, line), 0.5);
		const memoryMiB = residentMiB(kernel.process.pid!);
		// Last: tslab does not recover from it.
		let arrived = "";
		const lines = `for (let i = 0; i < ${numLines}; i++) console.log("line", i)`;
		const linesToIdle = await time(async () => {
			const id = kernel.send("execute_request", { code: lines });
			await kernel.exchange(id, 10_000).catch(() => undefined);
			const own = kernel.messages.filter(({ parentId, type }) => parentId === id && type === "stream");
			arrived = own.map(({ content }) => content.text).join("");
		});
		return {
			startToInfo: kernel.startMs,
			startToFirstCell,
			cellMedian: quantile(cellTimes, 0.5),
			cellP95: quantile(cellTimes, 0.95),
			cellAfterImportMedian,
			completeMedian,
			linesToIdle,
			linesArrived: arrived.split("\n").length - 1,
			memoryMiB,
		};
	} finally {
		await kernel.stop();
	}
}

const labels: Record<keyof Measured, string> = {
	startToInfo: "start → kernel_info, ms",
	startToFirstCell: "start → first cell's idle, ms",
	cellMedian: "one-line cell to its reply, median, ms",
	cellP95: "one-line cell to its reply, p95, ms",
	cellAfterImportMedian: "the same after importing apache-arrow, median, ms",
	completeMedian: "completion, median, ms",
	linesToIdle: `${numLines} lines → idle, ms (10 s: idle never came)`,
	linesArrived: `of ${numLines} lines arrived`,
	memoryMiB: "resident memory after that, all processes, MiB",
};

const tslabHome = dirname(createRequire(import.meta.url).resolve("tslab/package.json"));
const tslab = [process.execPath, join(tslabHome, "bin", "tslab"), "kernel", "--config-path", "{connection_file}"];
const importing = `import * as arrow from "apache-arrow"; arrow.tableFromArrays({ a: [1] }).numRows`;
const measured: Record<"octavo" | "tslab", Measured[]> = { octavo: [], tslab: [] };
for (let round = 0; round < rounds; round++) {
	measured.octavo.push(await measure(undefined, importing));
	measured.tslab.push(await measure(tslab, importing));
	console.error(`round ${round + 1} of ${rounds}`);
}

const show = (value: number) => (value >= 100 ? value.toFixed(0) : value.toFixed(1));
const rows = (Object.keys(labels) as (keyof Measured)[]).map((name) => {
	const [ours, theirs] = [measured.octavo, measured.tslab].map((all) => all.map((one) => one[name]));
	const spread = (all: number[]) => `${show(quantile(all, 0.5))} (${show(Math.min(...all))}–${show(Math.max(...all))})`;
	const ratio = quantile(ours!, 0.5) / quantile(theirs!, 0.5);
	return `| ${labels[name]} | ${spread(ours!)} | ${spread(theirs!)} | ${ratio.toFixed(2)} |`;
});
const report = [
	"# Kernel latency",
	"",
	`Median over ${rounds} starts of each kernel, in turns (smallest–largest). ${cells} cells a start after ${warmUp} to warm up.`,
	`Load average while measuring: ${loadavg()[0]!.toFixed(1)}.`,
	`${cpus()[0]?.model ?? "unknown processor"}, ${cpus().length} threads, Node.js ${process.versions.node}.`,
	"",
	"| | octavo | tslab | ratio |",
	"|---|---|---|---|",
	...rows,
	"",
].join("\n");
console.log(report);
const out = process.argv[process.argv.indexOf("--output") + 1];
if (process.argv.includes("--output") && out) {
	mkdirSync(dirname(out), { recursive: true });
	writeFileSync(out, report);
}
