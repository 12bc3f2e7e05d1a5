// What the cache holds and what it occupies, over steps. Live tokens are what attention reads; allocated ones are the
// slots of all blocks held: their gap is the internal fragmentation, drawn below in percent.

import type { Trace } from "../trace/trace.js";
import type { Figure, PlotlyTrace } from "./figure.js";
import { checkNames, checkOneOf, checkTrace, fail } from "./options.js";
import { extent } from "./rows.js";
import { colors, describeRun, finish, round, wholeTicks } from "./theme.js";

/** Options of `chart.memory`. */
export interface MemoryOptions {
	/** One layer, from 0. Default: the mean over layers. */
	layer?: number;
}

/**
 * Draws live and allocated tokens a layer over steps, with the budget and what a full cache would hold, and below them
 * the fragmentation.
 *
 * @throws {OctavoError} ERR_OCTAVO_CHART for a layer that the trace lacks, an empty trace; ERR_OCTAVO_OPTION for an unknown option
 */
export function memory(trace: Trace, options: MemoryOptions = {}): Figure {
	checkTrace("memory", trace, "session.trace");
	checkNames("memory", options, ["layer"]);
	const { layers, steps } = extent(trace, "memory");
	if (steps.length === 0) fail("a trace with at least one step", "an empty one");
	const layer =
		options.layer === undefined ? undefined : checkOneOf("layer", options.layer, layers, "the trace's layers");
	const { live, allocated } = averages(trace, layer);
	const columns = { x: steps };
	const mean = (sums: Map<number, [sum: number, count: number]>) =>
		steps.map((step) => {
			const [sum, count] = sums.get(step)!;
			return sum / count;
		});
	const [liveTokens, allocatedTokens] = [mean(live), mean(allocated)];
	const fragmentation = steps.map((_, i) => 100 * (1 - liveTokens[i]! / Math.max(1, allocatedTokens[i]!)));
	const seen = tokensSeen(trace);
	const line = (name: string, color: string, y: (number | null)[], more: object = {}): PlotlyTrace => ({
		type: "scatter",
		mode: "lines",
		name,
		...columns,
		y,
		line: { color, width: 2, shape: "hv" },
		hovertemplate: `step %{x}: %{y} tokens<extra>${name}</extra>`,
		...more,
	});
	const data = [
		line("allocated", colors.runnerUp, allocatedTokens.map(round)),
		line("live", colors.kept, liveTokens.map(round), { fill: "tozeroy", fillcolor: "rgba(0,114,178,0.18)" }),
		line(
			"full cache would hold",
			colors.protected,
			steps.map((step) => seen.get(step) ?? null),
			{
				line: { color: colors.protected, width: 1.5, dash: "dot" },
			},
		),
	];
	const budget = budgetOf(trace, layer);
	if (budget !== undefined) {
		data.push(
			line(
				`budget (${budget})`,
				colors.reference,
				steps.map(() => budget),
				{
					line: { color: colors.reference, width: 1.5, dash: "dash" },
				},
			),
		);
	}
	data.push({
		...line("fragmentation", colors.evicted, fragmentation.map(round), { yaxis: "y2" }),
		hovertemplate: "step %{x}: %{y:.1f} %<extra>fragmentation</extra>",
	});
	const what = layer === undefined ? `mean of ${layers.length} layers` : `layer ${layer}`;
	const average = fragmentation.reduce((sum, each) => sum + each, 0) / fragmentation.length;
	return finish(data, {
		title: `Cache memory over steps, ${what}`,
		caption: `Tokens a layer after each step. Fragmentation is 1 − live / allocated: ${average.toFixed(1)} % on average. ${describeRun(trace)}`,
		plotHeight: 360,
		layout: {
			xaxis: { title: { text: "step", standoff: 6 }, anchor: "y2", showgrid: false, ...wholeTicks(steps.at(-1)! + 1) },
			yaxis: { title: { text: "tokens a layer" }, domain: [0.36, 1], rangemode: "tozero" },
			yaxis2: { title: { text: "fragmentation, %" }, domain: [0, 0.26], rangemode: "tozero" },
		},
	});
}

// Of one layer, or the mean where each has its own; undefined for a policy without one.
function budgetOf(trace: Trace, layer: number | undefined): number | undefined {
	const { budget } = trace.metadata.policyOptions ?? {};
	if (!Array.isArray(budget)) return typeof budget === "number" ? budget : undefined;
	const tokens = layer === undefined ? budget.reduce((sum, each) => sum + each, 0) / budget.length : budget[layer];
	return round(tokens) ?? undefined;
}

function averages(trace: Trace, layer: number | undefined) {
	const table = trace.table("memory");
	const steps = table.getChild("step_index")!.toArray() as Int32Array;
	const layers = table.getChild("layer_index")!.toArray() as Int32Array;
	const sumUp = (name: "live_tokens" | "allocated_tokens") => {
		const values = table.getChild(name)!.toArray() as Int32Array;
		const sums = new Map<number, [sum: number, count: number]>();
		steps.forEach((step, i) => {
			if (layer !== undefined && layers[i] !== layer) return;
			const [sum, count] = sums.get(step) ?? [0, 0];
			sums.set(step, [sum + values[i]!, count + 1]);
		});
		return sums;
	};
	return { live: sumUp("live_tokens"), allocated: sumUp("allocated_tokens") };
}

function tokensSeen(trace: Trace): Map<number, number> {
	const table = trace.table("steps");
	const positions = table.getChild("position_index")!.toArray() as Int32Array;
	return new Map(
		Array.from(table.getChild("step_index")!.toArray() as Int32Array, (step, i) => [step, positions[i]! + 1]),
	);
}
