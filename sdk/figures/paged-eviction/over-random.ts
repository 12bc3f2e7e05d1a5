// Is a policy better than chance? The difference to the random control on the same prompts, with its paired interval: two
// scores whose own intervals overlap may still differ on every prompt.

import { errorBars } from "../../chart/error-bars.js";
import { colors, escapeText, finish, grey, round } from "../../chart/theme.js";
import { OctavoError, received } from "../../errors.js";
import type { Model } from "../../load-model.js";
import type { PaperFigure } from "../result.js";
import { accuracyByBudget, type TaskName } from "./accuracy.js";
import { randomControl } from "./contenders.js";
import type { ExperimentOptions } from "./evaluate.js";
import { checkExperiment, measuredOn, sharedChecks } from "./options.js";
import { type Point, pointFigure } from "./points.js";

/** A point with a control at its side. */
type Paired = Point & { readonly [K in "over_random" | "over_random_low" | "over_random_high"]: number };

const verdicts = [
	{
		name: "better than chance",
		color: colors.kept,
		symbol: "circle",
		holds: (point: Paired) => point.over_random_low > 0,
	},
	{
		name: "no difference shown",
		color: grey,
		symbol: "circle-open",
		holds: (point: Paired) => point.over_random_low <= 0 && point.over_random_high >= 0,
	},
	{
		name: "worse than chance",
		color: colors.evicted,
		symbol: "diamond",
		holds: (point: Paired) => point.over_random_high < 0,
	},
] as const;

/** Of which group of the figure a point is. */
const groupOf = ({ task, setting, budget }: Point): string =>
	[task, setting, `budget ${budget}`].filter((part) => part !== "").join(", ");

/**
 * Draws each policy's difference to the random control, prompt by prompt, with its paired 95 % interval.
 *
 * @param points rows of other figures, such as those of `accuracyByBudget` at one budget a task; the control itself and
 * points without one are left out
 * @returns the points drawn
 * @throws {OctavoError} ERR_OCTAVO_OPTION when none of the points has a control
 */
export function overRandom(points: readonly Point[]): PaperFigure<Point> {
	return drawOverRandom(points, "");
}

function drawOverRandom(points: readonly Point[], source: string): PaperFigure<Point> {
	const drawn = (Array.isArray(points) ? points : []).filter(
		(point: Point): point is Paired => point?.policy !== randomControl && typeof point?.over_random === "number",
	);
	if (drawn.length === 0) {
		const expected = "rows of a figure with the random control for the points of figures.overRandom()";
		throw new OctavoError("ERR_OCTAVO_OPTION", `Expected ${expected} but received ${received(points)}`);
	}
	const groups = [...new Set(drawn.map(groupOf))];
	// Unseen and in the order of the points, which plotly would take from the first verdict otherwise.
	const order = {
		type: "scatter",
		mode: "markers",
		showlegend: false,
		hoverinfo: "skip",
		y: [drawn.map((point) => escapeText(groupOf(point))), drawn.map((point) => escapeText(point.policy))],
		x: drawn.map((point) => round(point.over_random)),
		marker: { opacity: 0 },
	};
	const data = verdicts.map(({ name, color, symbol, holds }) => {
		const own = drawn.filter(holds);
		return {
			type: "scatter",
			mode: "markers",
			name,
			y: [own.map((point) => escapeText(groupOf(point))), own.map((point) => escapeText(point.policy))],
			x: own.map((point) => round(point.over_random)),
			error_x: errorBars(
				own.map((point) => ({ mean: point.over_random, low: point.over_random_low, high: point.over_random_high })),
			),
			marker: { color, symbol, size: 9, line: { color, width: 1.5 } },
			hovertemplate: "%{y}: %{x:.3f}<extra></extra>",
		};
	});
	const counts = [...new Set(drawn.map((point) => point.num_prompts))].sort((a, b) => a - b);
	const prompts = counts.length === 1 ? `${counts[0]} prompts` : `${counts[0]} to ${counts.at(-1)} prompts`;
	const chart = finish([order, ...data], {
		title: "Better than chance? Difference to the random control",
		caption:
			`Score minus that of the random control on the same prompt: mean over ${prompts}, and its paired 95 % bootstrap interval. One that holds 0 has shown nothing. With ${drawn.length} intervals, expect one in twenty to miss its true value. ${source}`.trim(),
		plotHeight: 22 * drawn.length + 14 * groups.length,
		layout: {
			xaxis: {
				title: { text: "difference of the fraction answered right", standoff: 6 },
				zeroline: true,
				zerolinecolor: grey,
				zerolinewidth: 1.5,
			},
			yaxis: {
				type: "multicategory",
				autorange: "reversed",
				automargin: true,
				showgrid: true,
			},
		},
	});
	return pointFigure("over-random", drawn, chart);
}

// Budgets at which about half of each task's prompt is kept.
const halfKept: readonly (readonly [TaskName, number])[] = [
	["recall", 64],
	["needle", 64],
	["lookup", 40],
];

/**
 * Measures all policies on the three tasks with about half of each prompt kept, and draws their differences to the random
 * control.
 *
 * @returns a point a task and policy, with paired 95 % bootstrap intervals over prompts (default 24)
 * @throws {OctavoError} ERR_OCTAVO_OPTION
 */
export async function overRandomAtHalf(model: Model, options: ExperimentOptions = {}): Promise<PaperFigure<Point>> {
	const { onProgress, ...rest } = checkExperiment("overRandomAtHalf", model, options, sharedChecks(24));
	const points: Point[] = [];
	for (const [i, [task, budget]] of halfKept.entries()) {
		const progress = (done: number, total: number) => onProgress?.(i * total + done, halfKept.length * total);
		const { rows } = await accuracyByBudget(model, {
			...{ task, budgets: [budget], onProgress: progress, numPrompts: rest.numPrompts, firstSeed: rest.firstSeed },
			...(rest.signal ? { signal: rest.signal } : {}),
		});
		points.push(...rows);
	}
	return drawOverRandom(points, `Questions after eviction. ${measuredOn(model)}`);
}
