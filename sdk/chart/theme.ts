// How every figure looks. The background is transparent and grey carries text and grid, so that a figure reads on light
// and dark pages. Colours are those of Okabe and Ito, which colour-blind readers tell apart; order is shown by viridis
// without its ends, which would vanish on dark or white.

import { formatNumber } from "../trace/table-view.js";
import type { Trace } from "../trace/trace.js";
import { Figure, type PlotlyTrace } from "./figure.js";

/** What each colour means in every figure. */
export const colors = {
	kept: "#0072B2",
	evicted: "#D55E00",
	runnerUp: "#E69F00",
	protected: "#8C8C8C",
	reference: "#009E73",
	mark: "#CC79A7",
} as const;

/** Colours of policies or layers, in the order in which they are first met; the last four are Paul Tol's, his wine lighter, which dark pages swallowed. */
export const palette = [
	"#0072B2",
	"#E69F00",
	"#009E73",
	"#CC79A7",
	"#56B4E9",
	"#D55E00",
	"#8C8C8C",
	"#B03A6F",
	"#999933",
	"#AA4499",
	"#44AA99",
] as const;

/** Marker symbols beside `palette`, so that colour is never the only sign. */
export const symbols = [
	"circle",
	"square",
	"diamond",
	"triangle-up",
	"cross",
	"star",
	"x",
	"triangle-down",
	"pentagon",
	"hexagon",
	"bowtie",
] as const;

/** Colour scale from low to high. */
export const scale: [number, string][] = [
	[0, "#453781"],
	[0.25, "#33638D"],
	[0.5, "#238A8D"],
	[0.75, "#3CBB75"],
	[1, "#DCE319"],
];

/** Text grey, legible on white and on near-black. */
export const grey = "#777777";

/** A number in at most six digits, which keeps figures small and their text short. */
export function round(value: number): number | null {
	return Number.isFinite(value) ? Number(value.toPrecision(6)) : null;
}

/** Ticks of an axis that counts: at most about a dozen, at whole numbers. */
export function wholeTicks(count: number): { tick0: number; dtick: number } {
	const raw = Math.max(1, count / 12);
	const power = 10 ** Math.floor(Math.log10(raw));
	const factor = [1, 2, 5, 10].find((each) => each * power >= raw)!;
	return { tick0: 0, dtick: factor * power };
}

/** Positions as runs: `0–7, 12, 20–23`; cut after eight runs. */
export function formatPositions(positions: ArrayLike<number>): string {
	const runs: string[] = [];
	let begin = 0;
	for (let i = 1; i <= positions.length; i++) {
		if (i < positions.length && positions[i] === positions[i - 1]! + 1) continue;
		const [first, last] = [positions[begin]!, positions[i - 1]!];
		runs.push(first === last ? `${first}` : `${first}–${last}`);
		begin = i;
	}
	return runs.length > 8 ? `${runs.slice(0, 8).join(", ")}, … (${positions.length})` : runs.join(", ");
}

/** A score for hover texts: `none` where the policy has given none. */
export function formatScore(score: number): string {
	return Number.isNaN(score) ? "none" : formatNumber(score);
}

/** What was run, where: the part of a caption that comes from the trace's metadata. */
export function describeRun(trace: Trace): string {
	const { model, policy, policyOptions, blockSize, seed, engine, version } = trace.metadata;
	const options = Object.entries(policyOptions ?? {})
		.filter(([name]) => name !== "name")
		.map(([name, value]) => `${name} ${value}`);
	const parts = [
		model,
		policy && `policy ${policy}${options.length > 0 ? ` (${options.join(", ")})` : ""}`,
		blockSize && `${blockSize} slots a block`,
		seed !== undefined && `seed ${seed}`,
		engine && `on ${engine}`,
		version && `octavo ${version}`,
	].filter(Boolean);
	return parts.length > 0
		? `Recorded: ${parts.join(", ")}.`
		: "Recorded by an unknown engine: the trace has no metadata.";
}

// plotly does not break lines.
function wrap(text: string, width: number): string[] {
	const lines = [""];
	for (const word of text.split(" ")) {
		const line = lines.at(-1)!;
		if (line && line.length + word.length >= width) lines.push(word);
		else lines[lines.length - 1] = line ? `${line} ${word}` : word;
	}
	return lines;
}

/** Escapes text for plotly, which reads some HTML in titles and labels. */
export function escapeText(text: string): string {
	return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

// A legend above the plot breaks into rows, which plotly leaves no room for. Estimated for a figure 960 pixels wide.
function legendRows(data: readonly PlotlyTrace[]): number {
	const names = data.filter(({ showlegend, name }) => showlegend !== false && typeof name === "string");
	const width = names.reduce((sum, { name }) => sum + 46 + 6.8 * (name as string).length, 0);
	return names.length < 2 ? 1 : Math.max(1, Math.ceil(width / 860));
}

/** What `finish` needs beside the traces. */
export interface FigureText {
	title: string;
	/** One or two sentences under the figure; what they describe, and what was measured where. */
	caption: string;
	/** Height of the plotting area, in pixels. */
	plotHeight: number;
	/** Further layout: axes, shapes, annotations. */
	layout?: Record<string, unknown>;
}

/** Adds title, caption, margins and colours that all figures share. */
export function finish(data: PlotlyTrace[], { title, caption, plotHeight, layout = {} }: FigureText): Figure {
	const lines = wrap(escapeText(caption), 118);
	const margin = { l: 70, r: 30, t: 66 + 20 * (legendRows(data) - 1), b: 62 + 15 * lines.length };
	const annotations = [
		...((layout.annotations as object[] | undefined) ?? []),
		{
			text: lines.join("<br>"),
			xref: "paper",
			yref: "paper",
			x: 0,
			y: 0,
			xanchor: "left",
			yanchor: "top",
			yshift: -50,
			xshift: -50,
			align: "left",
			showarrow: false,
			font: { size: 11 },
		},
	];
	const styled: Record<string, unknown> = {
		paper_bgcolor: "rgba(0,0,0,0)",
		plot_bgcolor: "rgba(0,0,0,0)",
		font: { family: "system-ui, sans-serif", size: 12, color: grey },
		legend: { orientation: "h", x: 0, y: 1, xanchor: "left", yanchor: "bottom" },
		hoverlabel: { align: "left" },
		...layout,
		title: {
			text: escapeText(title),
			x: 0,
			xref: "paper",
			xanchor: "left",
			yref: "container",
			y: 1,
			yanchor: "top",
			pad: { t: 10 },
		},
		height: plotHeight + margin.t + margin.b,
		margin,
		annotations,
	};
	for (const [name, value] of Object.entries(styled)) {
		if (/^[xy]axis\d*$/.test(name)) styled[name] = { ...axis, ...(value as object) };
	}
	return new Figure({ data, layout: styled, config: { displaylogo: false, responsive: true } });
}

const axis = {
	gridcolor: "rgba(128,128,128,0.25)",
	linecolor: "rgba(128,128,128,0.6)",
	zeroline: false,
	ticks: "outside",
	tickcolor: "rgba(128,128,128,0.6)",
};
