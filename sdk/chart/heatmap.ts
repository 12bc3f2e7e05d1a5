// A matrix as colours. It takes anything with a shape and flat data, row by row, so that tensors of the SDK, of other
// libraries and plain arrays all fit.

import { received } from "../errors.js";
import type { Figure } from "./figure.js";
import { checkNames, fail } from "./options.js";
import { finish, round, scale, wholeTicks } from "./theme.js";

/** What `chart.heatmap` draws. */
export interface TensorLike {
	/** Values, row-major. */
	readonly data: ArrayLike<number>;
	/** Leading axes are flattened into rows. */
	readonly shape: readonly number[];
	/** Names of the axes, for labels. */
	readonly axisNames?: readonly string[];
}

/** Options of `chart.heatmap`. */
export interface HeatmapOptions {
	/** Default `Values`. */
	title?: string;
	/** Text under the figure: what was measured, where. */
	caption?: string;
	/** Same distance from zero up and down, white in the middle; for signed values. Default: when values have both signs. */
	diverging?: boolean;
}

const maxCells = 200_000;
const divergingScale = [
	[0, "#0072B2"],
	[0.5, "#F2F2F2"],
	[1, "#D55E00"],
];

/**
 * Draws a tensor as a heat map: the last axis runs right, all axes before it down.
 *
 * @throws {OctavoError} ERR_OCTAVO_CHART when shape and data do not fit, above 200,000 values; ERR_OCTAVO_OPTION for an unknown option
 */
export function heatmap(tensor: TensorLike, options: HeatmapOptions = {}): Figure {
	checkNames("heatmap", options, ["title", "caption", "diverging"]);
	const { data, shape, axisNames } = tensor ?? {};
	if (!shape || data?.length === undefined) fail("a tensor with shape and data", received(tensor));
	const numValues = shape.reduce((product, size) => product * size, 1);
	if (numValues !== data.length) fail(`${numValues} values for shape [${shape.join(", ")}]`, String(data.length));
	if (numValues > maxCells)
		fail(`at most ${maxCells} values; take a slice`, `${numValues} of shape [${shape.join(", ")}]`);
	const numColumns = shape.at(-1) ?? 1;
	const numRows = numColumns === 0 ? 0 : numValues / numColumns;
	const z = Array.from({ length: numRows }, (_, row) =>
		Array.from({ length: numColumns }, (_, column) => round(data[row * numColumns + column]!)),
	);
	const finite = Array.from(data).filter(Number.isFinite);
	const low = finite.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY);
	const high = finite.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
	const diverging = options.diverging ?? (low < 0 && high > 0);
	const reach = round(Math.max(Math.abs(low), Math.abs(high))) ?? 1;
	const names = axisNames ?? shape.map((_, i) => `axis ${i}`);
	const figure = finish(
		[
			{
				type: "heatmap",
				z,
				colorscale: diverging ? divergingScale : scale,
				...(diverging ? { zmin: -reach, zmax: reach } : {}),
				colorbar: { thickness: 12, outlinewidth: 0 },
				hoverongaps: false,
				hovertemplate: "row %{y}, column %{x}: %{z}<extra></extra>",
			},
		],
		{
			title: options.title ?? "Values",
			caption: options.caption ?? `Shape [${shape.join(", ")}]. Blank cells are not finite.`,
			plotHeight: Math.min(480, Math.max(120, 14 * numRows)),
			layout: {
				xaxis: { title: { text: names.at(-1) ?? "", standoff: 6 }, showgrid: false, ...wholeTicks(numColumns) },
				yaxis: {
					title: { text: names.slice(0, -1).join(" × ") },
					autorange: "reversed",
					showgrid: false,
					...wholeTicks(numRows),
				},
			},
		},
	);
	return figure;
}
