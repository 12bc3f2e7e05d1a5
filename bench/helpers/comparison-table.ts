// The Markdown table of bench/llama-cpp.ts: medians of the rounds, and ratios of runs that stood side by side in one round.

import type { LlamaSpec } from "octavo";
import type { Cell, Engine, Measurement } from "./engines.js";

/** One run of a cell, with the read bandwidth in bytes per second right before it. */
export interface Run extends Measurement {
	engine: Engine;
	cell: Cell;
	round: number;
	bandwidth: number;
}

/** What a token must read of a model. */
export interface ComparedModel {
	spec: LlamaSpec;
	weightBytes: number;
}

function median(values: readonly number[]): number {
	const sorted = [...values].sort((a, b) => a - b);
	return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}

const gigabytes = (bytes: number) => (bytes / 1e9).toFixed(1);
const row = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;

/** Bytes that one decode step must read: weights, and keys and values of so many tokens. */
function bytesRead({ spec, weightBytes }: ComparedModel, kvBytes: number, kvLen: number): number {
	return weightBytes + 2 * kvBytes * spec.numLayers * spec.numKvHeads * spec.headDim * kvLen;
}

/** Of all runs so far; cells that no engine has run yet stay empty. */
export function comparisonTable(
	model: ComparedModel,
	runs: readonly Run[],
	cells: readonly Cell[],
	budget: number,
): string {
	const engines = [...new Set(runs.map(({ engine }) => engine))].sort((a, b) => Number(b.isOwn) - Number(a.isOwn));
	const peers = engines.filter(({ isOwn }) => !isOwn);
	const own = engines.filter(({ isOwn }) => isOwn);
	const columns = cells.filter(({ phase }) => phase !== "evicting");
	const of = (cell: Cell, engine: Engine) => runs.filter((run) => run.cell === cell && run.engine === engine);
	const speed = (cell: Cell, engine: Engine) => median(of(cell, engine).map((run) => run.tokensPerSecond));
	const speedAndSpread = (cell: Cell, engine: Engine) => {
		const speeds = of(cell, engine).map((run) => run.tokensPerSecond);
		const [middle, least, most] = [median(speeds), Math.min(...speeds), Math.max(...speeds)].map((number) =>
			number.toFixed(cell.phase === "prefill" ? 0 : 1),
		);
		return speeds.length === 1 ? middle! : `${middle} (${least}–${most})`;
	};
	const bandwidth = (cell: Cell) => median(runs.filter((run) => run.cell === cell).map((run) => run.bandwidth));
	const limit = (cell: Cell, { kvBytes }: Engine, kvLen = cell.context) =>
		bandwidth(cell) / bytesRead(model, kvBytes, kvLen);
	/** Median over rounds of one engine's speed over another's in the same round. */
	const ratio = (over: readonly Run[], under: readonly Run[]) => {
		const pairs = over.flatMap((run) => {
			const beside = under.find(({ round }) => round === run.round);
			return beside === undefined ? [] : [run.tokensPerSecond / beside.tokensPerSecond];
		});
		return pairs.length === 0 ? "–" : median(pairs).toFixed(2);
	};
	const faster = (cell: Cell) =>
		peers.filter((peer) => of(cell, peer).length > 0).sort((a, b) => speed(cell, b) - speed(cell, a))[0];
	const isRun = (cell: Cell, engine: Engine) => of(cell, engine).length > 0;
	const peak = (engine: Engine) =>
		Math.max(
			...runs.filter((run) => run.engine === engine && run.cell.phase !== "evicting").map((run) => run.peakBytes),
		);
	const share = (cell: Cell, engine: Engine) =>
		cell.phase === "prefill" || !isRun(cell, engine)
			? "–"
			: `${(speed(cell, engine) / limit(cell, engine)).toFixed(2)} of ${limit(cell, engine).toFixed(1)}`;
	const full = columns.at(-1)!;
	const evictions = cells
		.filter(({ phase }) => phase === "evicting")
		.flatMap((cell) =>
			own
				.filter((engine) => isRun(cell, engine))
				.map((engine) => {
					const most = bytesRead(model, engine.kvBytes, cell.context) / bytesRead(model, engine.kvBytes, budget);
					const times = ratio(of(cell, engine), of(full, engine));
					return `${engine.name}: ${speed(cell, engine).toFixed(1)} tokens/s, ${times} times its full cache (${most.toFixed(2)} is what the bytes read allow where both run at the limit)`;
				}),
		);
	const all = runs.map((run) => run.bandwidth);
	const numRounds = Math.max(...runs.map(({ round }) => round)) + 1;
	return [
		`Weights ${(model.weightBytes / 2 ** 20).toFixed(0)} MiB; read bandwidth between the runs ${gigabytes(median(all))} (${gigabytes(Math.min(...all))}–${gigabytes(Math.max(...all))}) GB/s; rounds: ${numRounds}.`,
		"",
		row([
			"tokens/s",
			...columns.map(({ phase, context }) => `${phase}${phase === "decode" ? " at" : ""} ${context}`),
			"peak memory",
		]),
		`|${"---|".repeat(columns.length + 2)}`,
		...engines.map((engine) =>
			row([
				engine.name,
				...columns.map((cell) => (isRun(cell, engine) ? speedAndSpread(cell, engine) : "–")),
				`${(peak(engine) / 2 ** 20).toFixed(0)} MiB`,
			]),
		),
		...own.flatMap((engine) => [
			row([
				`**${engine.name} ÷ the faster llama.cpp**`,
				...columns.map((cell) => {
					const peer = faster(cell);
					return peer === undefined ? "–" : `**${ratio(of(cell, engine), of(cell, peer))}**`;
				}),
				"–",
			]),
			row([`${engine.name} ÷ its limit of reading once`, ...columns.map((cell) => share(cell, engine)), "–"]),
		]),
		"",
		`With paged-eviction at budget ${budget} after a prompt of ${full.context}: ${evictions.join("; ")}.`,
	].join("\n");
}
