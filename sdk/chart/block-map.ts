// Which tokens live in each block: over all steps (steps × blocks, colour is the mean position), or at one step (blocks ×
// slots, each slot with its position). Rows over time are physical blocks, so that the reuse of a freed block shows.

import type { Trace } from "../trace/trace.js";
import type { Figure, PlotlyTrace } from "./figure.js";
import { checkNames, checkOneOf, checkTrace, chooseLayers } from "./options.js";
import { panels } from "./panels.js";
import { type BlockRow, blockRows, blocksExtent, describeHead, evictionRows } from "./rows.js";
import { colors, describeRun, finish, formatPositions, formatScore, round, scale } from "./theme.js";

/** Options of `chart.blockMap`. */
export interface BlockMapOptions {
	/** Layer or layers, one panel each. Default: the first four. */
	layer?: number | readonly number[];
	/** Show the state after this step in place of the whole run. */
	step?: number;
	/** KV head, from 0, where each keeps tokens of its own. Default 0. */
	head?: number;
}

// Beyond this the page becomes slow, and a screen has no more pixels: fewer steps are drawn.
const maxCells = 40_000;

/**
 * Maps blocks to the tokens in them. Without `step`: one row a physical block, one column a step, colour the mean RoPE
 * position of the block's tokens, × where a block was evicted, blank where it is free. With `step`: one row a block in
 * the order of the block table, one cell a slot with its position.
 *
 * @throws {OctavoError} ERR_OCTAVO_CHART for a layer or step that the trace lacks, a trace without block rows; ERR_OCTAVO_OPTION for
 * an unknown option
 */
export function blockMap(trace: Trace, options: BlockMapOptions = {}): Figure {
	checkTrace("blockMap", trace, "session.trace");
	checkNames("blockMap", options, ["layer", "step", "head"]);
	const available = blocksExtent(trace);
	const layers = chooseLayers(options.layer, available.layers, "the trace's layers");
	const omitted = options.layer === undefined && available.layers.length > layers.length;
	const headNote = describeHead(trace, options.head);
	const layerNote = omitted ? ` Layers ${layers[0]} to ${layers.at(-1)} of ${available.layers.length} are drawn.` : "";
	const note = layerNote + headNote;
	if (options.step === undefined) return mapOverTime(trace, layers, available.steps, note, options.head);
	return mapAtStep(
		trace,
		layers,
		checkOneOf("step", options.step, available.steps, "the trace's steps"),
		note,
		options.head,
	);
}

function mapOverTime(trace: Trace, layers: number[], allSteps: number[], note: string, head?: number): Figure {
	const rows = blockRows(trace, { layers, ...(head === undefined ? {} : { head }) });
	const numBlocks = 1 + rows.reduce((max, row) => Math.max(max, row.blockId), 0);
	const stride = Math.max(1, Math.ceil((allSteps.length * numBlocks * layers.length) / maxCells));
	const steps = allSteps.filter((_, i) => i % stride === 0 || i === allSteps.length - 1);
	const columnOf = new Map(steps.map((step, i) => [step, i]));
	const maxPosition = rows.reduce((max, row) => row.positions.reduce((a, b) => Math.max(a, b), max), 0);
	const blockIds = Array.from({ length: numBlocks }, (_, i) => i);
	const evictions = evictionRows(trace, { layers }).filter((row) => row.granularity === "block");

	const { axes, layout, height } = panels(layers, Math.min(340, Math.max(90, 15 * numBlocks)));
	const data = layers.flatMap((layer, i): PlotlyTrace[] => {
		const z: (number | null)[][] = blockIds.map(() => steps.map(() => null));
		const text: string[][] = blockIds.map(() => steps.map(() => ""));
		for (const row of rows) {
			const column = columnOf.get(row.step);
			if (row.layer !== layer || column === undefined || row.positions.length === 0) continue;
			z[row.blockId]![column] = round(row.positions.reduce((sum, p) => sum + p, 0) / row.positions.length);
			text[row.blockId]![column] = describeBlock(row);
		}
		const gone = evictions.filter((row) => row.layer === layer);
		return [
			{
				type: "heatmap",
				...axes[i],
				x: steps,
				y: blockIds,
				z,
				text,
				coloraxis: "coloraxis",
				xgap: steps.length <= 160 ? 1 : 0,
				ygap: 1,
				hoverongaps: false,
				hovertemplate: "step %{x}, block %{y}<br>%{text}<extra></extra>",
			},
			{
				type: "scatter",
				mode: "markers",
				...axes[i],
				x: gone.map((row) => row.step),
				y: gone.map((row) => row.blockId),
				text: gone.map((row) => `positions ${formatPositions(row.positions)}<br>score ${formatScore(row.score)}`),
				name: "evicted",
				legendgroup: "evicted",
				showlegend: i === 0,
				marker: { symbol: "x", size: 9, color: colors.evicted },
				hovertemplate: "evicted in step %{x}: block %{y}<br>%{text}<extra></extra>",
			},
		];
	});
	const thinned = stride > 1 ? ` One step in ${stride} is drawn.` : "";
	return finish(data, {
		title: "Which tokens live in each block, step by step",
		caption: `Row: physical block. Colour: mean RoPE position of its tokens; blank: free. Step 0 is the prefill.${thinned}${note} ${describeRun(trace)}`,
		plotHeight: height,
		layout: {
			...layout({ x: "step", y: "block", numColumns: 1 + (steps.at(-1) ?? 0), numRows: numBlocks }),
			coloraxis: colorAxis(maxPosition, "mean<br>position"),
		},
	});
}

function mapAtStep(trace: Trace, layers: number[], step: number, note: string, head?: number): Figure {
	const rows = blockRows(trace, { layers, step, ...(head === undefined ? {} : { head }) });
	const numSlots = rows.reduce((max, row) => Math.max(max, row.slots.length), trace.metadata.blockSize ?? 1);
	const maxPosition = rows.reduce((max, row) => row.positions.reduce((a, b) => Math.max(a, b), max), 0);
	const slots = Array.from({ length: numSlots }, (_, i) => i);
	const numRows = Math.max(...layers.map((layer) => rows.filter((row) => row.layer === layer).length));

	const { axes, layout, height } = panels(layers, Math.min(600, Math.max(60, 20 * numRows)));
	const data = layers.map((layer, i): PlotlyTrace => {
		const table = rows.filter((row) => row.layer === layer).sort((a, b) => a.logicalIndex - b.logicalIndex);
		return {
			type: "heatmap",
			...axes[i],
			x: slots,
			y: table.map((row) => `${row.logicalIndex} (block ${row.blockId})`),
			z: table.map((row) => slots.map((slot) => (row.slots[slot] === -1 ? null : (row.slots[slot] ?? null)))),
			text: table.map((row) => slots.map(() => describeBlock(row))),
			coloraxis: "coloraxis",
			xgap: 1,
			ygap: 2,
			hoverongaps: false,
			hovertemplate: "%{y}, slot %{x}: position %{z}<br>%{text}<extra></extra>",
			...(numSlots <= 32 ? { texttemplate: "%{z}", textfont: { size: 10 } } : {}),
		};
	});
	const figure = finish(data, {
		title: `Block table after step ${step}`,
		caption: `Row: place in the block table, with its physical block. Cell: slot, with the RoPE position of its token; blank: not filled${rows.some(hasHoles) ? ", or a hole that a dropped token left" : ""}.${note} ${describeRun(trace)}`,
		plotHeight: height,
		layout: {
			...layout({ x: "slot", y: "", numColumns: numSlots }),
			coloraxis: colorAxis(maxPosition, "position"),
		},
	});
	(figure.layout.margin as { l: number }).l = 110;
	return figure;
}

function hasHoles(row: BlockRow): boolean {
	return row.positions.length < row.slots.length;
}

function describeBlock(row: BlockRow): string {
	const holes = hasHoles(row) ? `, ${row.slots.length - row.positions.length} holes` : "";
	return `place ${row.logicalIndex}, ${row.filled} filled${holes}, score ${formatScore(row.score)}<br>positions ${formatPositions(row.positions)}`;
}

function colorAxis(max: number, title: string): object {
	return {
		colorscale: scale,
		cmin: 0,
		cmax: Math.max(1, max),
		colorbar: { title: { text: title, side: "top" }, thickness: 12, outlinewidth: 0, nticks: 5 },
	};
}
