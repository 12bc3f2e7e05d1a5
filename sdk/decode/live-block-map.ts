// The block tables of a session as a small drawing, for its live view: a row a block, a cell a slot, colour the position of
// its token. Drawn as SVG and not by plotly, since it is sent again with every step.

import { escapeHtml } from "../debug/live-page.js";
import type { Drawing } from "../debug/live-view.js";
import type { LayerView } from "./layer-view.js";
import type { StopEvent } from "./run.js";

/** What is drawn of a session. */
export interface SessionState {
	layers: readonly LayerView[];
	numTokens: number;
	stoppedAt: StopEvent | undefined;
	/** The last tokens, in words. */
	text: string;
}

/** Slots drawn a layer at most; of a longer cache the first and last blocks are. */
const maxSlots = 2048;
const cell = 11;
const gap = 26;
// Viridis without its ends, as in the charts.
const scale = [
	[69, 55, 129],
	[51, 99, 141],
	[35, 138, 141],
	[60, 187, 117],
	[220, 227, 25],
];

/** Draws block tables, and remembers them to mark what has changed since the drawing before. */
export class BlockMapDrawer {
	#before = new Map<number, Set<number>>();

	/** Draws a state. */
	draw({ layers, numTokens, stoppedAt, text }: SessionState): Drawing {
		const parts: string[] = [];
		const lines: string[] = [];
		let x = 0;
		let height = 0;
		const gone: string[] = [];
		for (const layer of layers) {
			const blockSize = layer.positions.shape[1]!;
			const blocks = layer.blocks;
			const most = Math.max(2, Math.floor(maxSlots / blockSize));
			const shown = blocks.length <= most ? blocks : [...blocks.slice(0, most / 2), ...blocks.slice(-most / 2)];
			const now = new Set(blocks.flatMap(({ positions }) => [...positions]));
			const before = this.#before.get(layer.index);
			const dropped = before ? [...before].filter((position) => !now.has(position) && position < numTokens) : [];
			if (dropped.length > 0) gone.push(`layer ${layer.index}: positions ${ranges(dropped)}`);
			this.#before.set(layer.index, now);
			const hidden = blocks.length > shown.length ? `, ${blocks.length - shown.length} of them not drawn` : "";
			parts.push(
				`<text x="${x}" y="10">layer ${layer.index}</text>`,
				`<text x="${x}" y="22" opacity=".7">${layer.kvLen} tokens, ${blocks.length} blocks${hidden}</text>`,
			);
			for (const [row, block] of shown.entries()) {
				const y = 30 + row * (cell + 3);
				const going = isGoing(stoppedAt, layer.index, block.logicalIndex);
				const score = Number.isNaN(block.score) ? "none" : block.score.toPrecision(4);
				const title = `place ${block.logicalIndex}, block ${block.blockId}, score ${score}: ${block.text}`;
				const slots = Array.from({ length: blockSize }, (_, slot) => {
					const position = slot < block.filled ? block.positions[slot]! : -1;
					const fill = position < 0 ? "none" : colour(position / Math.max(1, numTokens - 1));
					const fresh = before && position >= 0 && !before.has(position) ? ' stroke="currentColor"' : "";
					const empty = position < 0 ? ' stroke="#8888" stroke-width=".5"' : fresh;
					return `<rect x="${x + slot * cell}" y="${y}" width="${cell - 1}" height="${cell - 1}" fill="${fill}"${empty}/>`;
				});
				const frame = going
					? `<rect x="${x - 2}" y="${y - 2}" width="${blockSize * cell + 3}" height="${cell + 3}" fill="none" stroke="#D55E00" stroke-width="2"/>`
					: "";
				parts.push(`<g><title>${escapeHtml(title)}</title>${slots.join("")}${frame}</g>`);
			}
			lines.push(
				`layer ${layer.index}: ${layer.kvLen} tokens in ${blocks.length} blocks  ${shown.map(({ positions }) => `[${ranges([...positions])}]`).join(" ")}`,
			);
			height = Math.max(height, 30 + shown.length * (cell + 3) + 4);
			x += Math.max(blockSize * cell, 130) + gap;
		}
		const stop = stoppedAt ? `; stopped at ${stoppedAt.kind} in step ${stoppedAt.stepIndex}` : "";
		const evicted = gone.length > 0 ? `; gone since the last drawing: ${gone.join("; ")}` : "";
		const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-3 0 ${x} ${height}" width="${x}" height="${height}" style="max-width:100%" font-size="11" font-family="sans-serif" fill="currentColor" role="img" aria-label="Block tables, colour by position">${parts.join("")}</svg>`;
		return { html: svg, text: lines.join("\n"), status: `${numTokens} tokens: ${text}${stop}${evicted}` };
	}
}

function isGoing(stop: StopEvent | undefined, layer: number, logicalIndex: number): boolean {
	return stop?.kind === "evict" && stop.layer === layer && stop.logicalIndex === logicalIndex;
}

/** A colour of the scale. @param share from 0 to 1 */
function colour(share: number): string {
	const at = Math.max(0, Math.min(1, share)) * (scale.length - 1);
	const low = scale[Math.floor(at)]!;
	const high = scale[Math.ceil(at)]!;
	const mixed = low.map((channel, i) => Math.round(channel + (high[i]! - channel) * (at % 1)));
	return `rgb(${mixed})`;
}

/** Whole numbers as ranges: `0-7 12`. */
function ranges(numbers: readonly number[]): string {
	const sorted = [...numbers].sort((a, b) => a - b);
	const parts: [number, number][] = [];
	for (const each of sorted) {
		const last = parts.at(-1);
		if (last && each === last[1] + 1) last[1] = each;
		else parts.push([each, each]);
	}
	return parts.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(" ");
}
