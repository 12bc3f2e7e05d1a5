// How fast is a cell? Drives this kernel, and tslab's and ipykernel beside it, over raw ZeroMQ: start, one-line cells,
// completion, 10,000 printed lines, 5 MiB of HTML, 64 MiB over a comm, memory. All run in the same minutes on the same
// machine, so that their ratios mean something.

import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus, loadavg } from "node:os";
import { dirname, join } from "node:path";
import { KernelClient } from "../test/helpers/kernel-client.js";
import { echoBytes, echoCells, echoMegabytesPerSecond, echoRounds } from "./helpers/comm-echo.js";
import { installKernel } from "./helpers/installed-kernel.js";
import { memoryMiB } from "./helpers/process-memory.js";

interface Measured {
	/** Milliseconds each, but for the two counts. */
	startToInfo: number;
	startToFirstCell: number;
	cellMedian: number;
	cellP95: number;
	cellAfterImportMedian: number;
	completeMedian: number;
	completeOtherMedian: number;
	htmlToIdle: number;
	linesToIdle: number;
	linesArrived: number;
	/** Megabytes a second. */
	echo: number;
	residentMiB: number;
	proportionalMiB: number;
}

const rounds = 4;
/** Few: tslab stops answering after some 140 requests in quick succession. */
const cells = 50;
const warmUp = 15;
const completions = 25;
const otherCompletions = 10;
const numHtml = 5;
const numLines = 10_000;
const htmlBytes = 5 * 1024 * 1024;
/** Time without a request before memory is read, in milliseconds. */
const idleMs = 2000;
/** Time after which idle is no longer waited for, in milliseconds. */
const giveUpMs = 3000;

/** What is asked of one kernel. */
interface Contender {
	name: "octavo" | "tslab" | "ipykernel";
	/** As its kernelspec says. */
	argv: string[];
	env?: NodeJS.ProcessEnv;
	line: (index: number) => string;
	complete: string;
	/** Texts that are completed one after the other. */
	completeOther: (index: number) => string;
	/** Imports a package with many types; undefined where there are none. */
	importing?: string;
	html: string;
	lines: string;
	/** Sends back what comes over a comm; undefined where there are none. */
	echo?: string;
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

async function measure({
	name,
	argv,
	env,
	line,
	complete,
	completeOther,
	importing,
	html,
	lines,
	echo,
}: Contender): Promise<Measured> {
	const start = performance.now();
	const kernel = await KernelClient.start({ folder, argv, env: env ?? {}, isPeer: name !== "octavo" });
	try {
		await kernel.execute("1");
		const startToFirstCell = performance.now() - start;
		// To the reply, not to idle: tslab loses its idle message after some hundred cells.
		const content = (code: string) => ({ code, silent: false, store_history: true, allow_stdin: false });
		const run = (code: string) => kernel.ask("execute_request", content(code));
		const runLine = (index: number) => run(line(index));
		await repeat(warmUp, runLine);
		const cellTimes = await repeat(cells, runLine);
		const ask = (code: string) => kernel.ask("complete_request", { code, cursor_pos: code.length });
		await repeat(3, () => ask(complete));
		const completeMedian = quantile(await repeat(completions, () => ask(complete)), 0.5);
		const completeOtherMedian = quantile(await repeat(otherCompletions, (index) => ask(completeOther(index))), 0.5);
		let cellAfterImportMedian = Number.NaN;
		if (importing !== undefined) {
			await run(importing);
			await repeat(5, runLine);
			cellAfterImportMedian = quantile(await repeat(15, runLine), 0.5);
		}
		await new Promise((resolve) => setTimeout(resolve, idleMs));
		const [residentMiB, proportionalMiB] = (["Rss", "Pss"] as const).map((field) =>
			memoryMiB(kernel.process.pid!, field),
		) as [number, number];
		const toIdle = (code: string) =>
			kernel.exchange(kernel.send("execute_request", content(code)), giveUpMs).catch(() => undefined);
		const htmlToIdle = quantile(await repeat(numHtml, () => toIdle(html)), 0.5);
		// Last, but for comms, which it lacks: tslab does not recover from it.
		let arrived = "";
		const linesToIdle = await time(async () => {
			const id = kernel.send("execute_request", content(lines));
			await kernel.exchange(id, giveUpMs).catch(() => undefined);
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
			completeOtherMedian,
			htmlToIdle,
			linesToIdle,
			linesArrived: arrived.split("\n").length - 1,
			echo: echo === undefined ? Number.NaN : await echoMegabytesPerSecond(kernel, echo),
			residentMiB,
			proportionalMiB,
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
	completeMedian: "completion, the same again, median, ms",
	completeOtherMedian: "completion, each time of another variable, median, ms",
	htmlToIdle: "5 MiB of HTML → idle, ms (3 s: idle never came)",
	linesToIdle: `${numLines} lines → idle, ms (3 s: idle never came)`,
	linesArrived: `of ${numLines} lines arrived`,
	echo: `${echoBytes / 2 ** 20} MiB over a comm and back, 128 MiB counted, MB/s (more is better)`,
	residentMiB: "resident memory (RSS), idle for 2 s after the cells, all processes, MiB",
	proportionalMiB: "the same, with pages that processes share divided among them (PSS), MiB",
};

const tslabHome = dirname(createRequire(import.meta.url).resolve("tslab/package.json"));
const typescript = {
	line: (index: number) => `const value${index % 5}: number = ${index} * 2; value${index % 5}`,
	complete: "value1.toF",
	completeOther: (index: number) => `value${index % 5}.to${"EF"[Math.floor(index / 5)]}`,
	importing: `import * as arrow from "apache-arrow"; arrow.tableFromArrays({ a: [1] }).numRows`,
	lines: `for (let i = 0; i < ${numLines}; i++) console.log("line", i)`,
};
const python = "/usr/bin/python3";
const contenders: Contender[] = [
	{
		name: "octavo",
		...typescript,
		...installKernel(folder),
		html: `display.html("x".repeat(${htmlBytes}))`,
		echo: echoCells.typescript,
	},
	{
		name: "tslab",
		...typescript,
		argv: [process.execPath, join(tslabHome, "bin", "tslab"), "kernel", "--config-path", "{connection_file}"],
		html: `import * as shown from "tslab"; shown.display.html("x".repeat(${htmlBytes}))`,
	},
	{
		name: "ipykernel",
		argv: [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
		line: (index) => `value${index % 5} = ${index} * 2; value${index % 5}`,
		complete: "value1.bit_l",
		completeOther: (index) => `value${index % 5}.${["bit_c", "to_b"][Math.floor(index / 5)]}`,
		html: `from IPython.display import HTML, display; display(HTML("x" * ${htmlBytes}))`,
		lines: `for i in range(${numLines}): print("line", i)`,
		echo: echoCells.python,
	},
];
const hasPython = spawnSync(python, ["-c", "import ipykernel"]).status === 0;
const skipped = hasPython ? [] : [`ipykernel is left out: ${python} has none.`];
const chosen = contenders.filter(({ name }) => name !== "ipykernel" || hasPython);
const measured = new Map(chosen.map(({ name }) => [name, [] as Measured[]]));
for (let round = 0; round < rounds; round++) {
	for (const contender of chosen) measured.get(contender.name)!.push(await measure(contender));
	console.error(`round ${round + 1} of ${rounds}`);
}

const show = (value: number) => (value >= 100 ? value.toFixed(0) : value.toFixed(1));
const rows = (Object.keys(labels) as (keyof Measured)[]).map((field) => {
	const all = [...measured.values()].map((each) => each.map((one) => one[field]));
	const spread = (values: number[]) =>
		Number.isNaN(values[0])
			? "–"
			: `${show(quantile(values, 0.5))} (${show(Math.min(...values))}–${show(Math.max(...values))})`;
	const ratios = all.slice(1).map((other) => {
		const ratio = quantile(all[0]!, 0.5) / quantile(other, 0.5);
		return Number.isNaN(ratio) ? "–" : ratio.toFixed(2);
	});
	return `| ${labels[field]} | ${[...all.map(spread), ...ratios].join(" | ")} |`;
});
const names = chosen.map(({ name }) => name);
const report = [
	"# Kernel latency",
	"",
	`Median over ${rounds} starts of each kernel, in turns (smallest–largest). ${cells} cells a start after ${warmUp} to warm up,`,
	`${completions} completions after 3, then ${otherCompletions} of other texts, ${numHtml} outputs of HTML, ${echoRounds} large buffers:`,
	"the median of each.",
	`Load average while measuring: ${loadavg()[0]!.toFixed(1)}.`,
	`${cpus()[0]?.model ?? "unknown processor"}, ${cpus().length} threads, Node.js ${process.versions.node}.`,
	"",
	...skipped,
	"",
	`| | ${[...names, ...names.slice(1).map((name) => `octavo / ${name}`)].join(" | ")} |`,
	`|${"---|".repeat(2 * names.length)}`,
	...rows,
	"",
].join("\n");
console.log(report);
const out = process.argv[process.argv.indexOf("--output") + 1];
if (process.argv.includes("--output") && out) {
	mkdirSync(dirname(out), { recursive: true });
	writeFileSync(out, report);
}
