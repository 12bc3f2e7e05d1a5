// What a batch does over time: who runs and who waits above, blocks in use below. Where the blocks stand at the pool's size
// and sequences wait, memory is what limits the throughput.

import type { BatchTrace } from "../trace/batch-trace.js";
import type { Figure, PlotlyTrace } from "./figure.js";
import { checkTrace, fail } from "./options.js";
import { colors, finish, round } from "./theme.js";

/**
 * Draws sequences that run, wait and are swapped out over a batch's time, and below them the blocks in use of the layer
 * that uses most, with the pool's size.
 *
 * @throws {OctavoError} ERR_OCTAVO_CHART for a batch without steps
 */
export function occupancy(trace: BatchTrace): Figure {
	checkTrace("occupancy", trace, "batch.trace");
	const columns = trace.columns("throughput");
	const numbers = (name: string) => columns[name] as readonly number[];
	const starts = numbers("start_us");
	if (starts.length === 0) fail("a batch with at least one step", "one with none");
	const { numBlocks, blockSize, maxSequences, model, engine, version } = trace.metadata;
	const x = starts.map((us, i) => round((us + numbers("total_us")[i]!) / 1e6));
	const line = (name: string, color: string, y: readonly number[], more: object = {}): PlotlyTrace => ({
		type: "scatter",
		mode: "lines",
		name,
		x,
		y,
		line: { color, width: 2, shape: "vh" },
		hovertemplate: `%{x:.3f} s: %{y}<extra>${name}</extra>`,
		...more,
	});
	const used = numbers("num_free_blocks").map((free) => numBlocks - free);
	const data = [
		line("decoding", colors.kept, numbers("num_output_tokens")),
		line("waiting", colors.protected, numbers("num_waiting"), {
			line: { color: colors.protected, width: 1.5, dash: "dot", shape: "vh" },
		}),
		line("swapped out", colors.evicted, numbers("num_swapped")),
		line("blocks in use", colors.runnerUp, used, { yaxis: "y2" }),
		line(`blocks a layer (${numBlocks})`, colors.reference, [numBlocks, numBlocks], {
			x: [x[0], x.at(-1)],
			yaxis: "y2",
			line: { color: colors.reference, width: 1.5, dash: "dash" },
		}),
	];
	const row = Object.fromEntries(Object.entries(trace.columns("summary")).map(([name, values]) => [name, values[0]]));
	const rate = (row.output_tokens_per_s as number | null)?.toFixed(1) ?? "no";
	const what = `${row.num_sequences} sequences, at most ${maxSequences} at once, ${rate} output tokens a second of steps, ${row.num_preemptions} preemptions.`;
	return finish(data, {
		title: "Sequences and blocks of a batch over time",
		caption: `${what} Recorded: ${model}, ${blockSize} slots a block, on ${engine}, octavo ${version}.`,
		plotHeight: 380,
		layout: {
			xaxis: { title: { text: "time, s", standoff: 6 }, anchor: "y2", showgrid: false },
			yaxis: { title: { text: "sequences" }, domain: [0.46, 1], rangemode: "tozero" },
			yaxis2: { title: { text: "blocks a layer" }, domain: [0, 0.36], rangemode: "tozero" },
		},
	});
}
