// Accuracy against budget, one line a policy, with confidence intervals. The unit of resampling is the row, one a prompt:
// questions about one prompt share its fate, and counting them apart would make the intervals too narrow.

import { received } from "../errors.js";
import { bootstrapMean, type Interval } from "./bootstrap.js";
import { errorBars } from "./error-bars.js";
import type { Figure, PlotlyTrace } from "./figure.js";
import { type Look, looksOf } from "./looks.js";
import { checkNames, distinct, fail } from "./options.js";
import { escapeText, finish, round } from "./theme.js";

/** One prompt under one policy. */
export interface AccuracyRow {
	/** Name in the legend. */
	policy: string;
	/** KV tokens kept a layer; absent for a full cache, drawn as a level line. */
	budget?: number;
	/** Fraction answered right, from 0 to 1. */
	score: number;
}

/** Options of `chart.accuracy`. */
export interface AccuracyOptions {
	/** Default `Accuracy by budget`. */
	title?: string;
	/** What was measured, where; the number of prompts and the intervals are added. */
	caption?: string;
	/** Share of the interval, from 0 to 1. Default 0.95. */
	confidence?: number;
}

/**
 * Compares policies over budgets: mean score with a bootstrap interval over prompts.
 *
 * @param rows one a prompt, policy and budget, in any order
 * @throws {OctavoError} ERR_OCTAVO_CHART for no rows, a malformed row, a confidence outside (0, 1); ERR_OCTAVO_OPTION for an unknown option
 */
export function accuracy(rows: readonly AccuracyRow[], options: AccuracyOptions = {}): Figure {
	checkNames("accuracy", options, ["title", "caption", "confidence"]);
	const { title = "Accuracy by budget", caption = "", confidence = 0.95 } = options;
	if (!(confidence > 0 && confidence < 1)) fail("a confidence between 0 and 1", received(confidence));
	checkRows(rows);
	const policies = [...new Set(rows.map((row) => row.policy))];
	const budgets = distinct(rows.flatMap((row) => row.budget ?? []));
	const looks = looksOf(policies);
	const counts: number[] = [];
	// Side by side at each budget, in at most half of the room between two: intervals of equal means would hide each other.
	const gaps = budgets.slice(1).map((budget, i) => budget - budgets[i]!);
	const numLines = policies.filter((policy) =>
		rows.some((row) => row.policy === policy && row.budget !== undefined),
	).length;
	const pitch = gaps.length > 0 ? Math.min(0.5 / numLines, 0.06) * Math.min(...gaps) : 0;
	let numDrawn = 0;
	const data = policies.flatMap((policy, i): PlotlyTrace[] => {
		const own = rows.filter((row) => row.policy === policy);
		const look = looks[i]!;
		const intervalAt = (budget: number | undefined) => {
			const scores = own.filter((row) => row.budget === budget).map((row) => row.score);
			if (scores.length > 0) counts.push(scores.length);
			return scores.length > 0 ? bootstrapMean(scores, confidence) : undefined;
		};
		const level = intervalAt(undefined);
		const ownBudgets = budgets.filter((budget) => own.some((row) => row.budget === budget));
		const points = ownBudgets.map((budget) => intervalAt(budget)!);
		return [
			...(level ? levelLine(policy, look.color, level, budgets) : []),
			...(points.length > 0
				? [pointLine(policy, look, ownBudgets, points, (numDrawn++ - (numLines - 1) / 2) * pitch)]
				: []),
		];
	});
	const prompts = distinct(counts);
	const number = prompts.length === 1 ? `${prompts[0]} prompts` : `${prompts[0]} to ${prompts.at(-1)} prompts`;
	return finish(data, {
		title,
		caption:
			`${caption} Mean over ${number} a point; bars and bands: ${round(100 * confidence)} % bootstrap interval over prompts.${numLines > 1 ? " Points of one budget stand side by side." : ""}`.trim(),
		plotHeight: 340,
		layout: {
			xaxis: {
				title: { text: "budget: KV tokens kept a layer", standoff: 6 },
				...(budgets.length > 0 && budgets.length <= 12 ? { tickvals: budgets } : {}),
			},
			yaxis: { title: { text: "fraction answered right" }, range: [-0.03, 1.05] },
		},
	});
}

function pointLine(policy: string, look: Look, budgets: number[], points: Interval[], offset: number): PlotlyTrace {
	return {
		type: "scatter",
		mode: "lines+markers",
		name: escapeText(policy),
		x: budgets.map((budget) => round(budget + offset)),
		text: budgets.map(String),
		y: points.map(({ mean }) => round(mean)),
		error_y: errorBars(points),
		line: { color: look.color, width: 2, dash: look.dash },
		marker: { color: look.color, symbol: look.symbol, size: 8 },
		hovertemplate: `${escapeText(policy)}, budget %{text}: %{y:.3f}<extra></extra>`,
	};
}

function levelLine(policy: string, color: string, { mean, low, high }: Interval, budgets: number[]): PlotlyTrace[] {
	const [first, last] = [budgets[0] ?? 0, budgets.at(-1) ?? 1];
	const name = escapeText(policy);
	return [
		{
			type: "scatter",
			mode: "lines",
			x: [first, last, last, first],
			y: [low, low, high, high].map(round),
			fill: "toself",
			fillcolor: color,
			opacity: 0.15,
			line: { width: 0 },
			legendgroup: name,
			showlegend: false,
			hoverinfo: "skip",
		},
		{
			type: "scatter",
			mode: "lines",
			name: `${name} (no budget)`,
			legendgroup: name,
			x: [first, last],
			y: [round(mean), round(mean)],
			line: { color, width: 2, dash: "dash" },
			hovertemplate: `${name}: %{y:.3f}<extra></extra>`,
		},
	];
}

function checkRows(rows: readonly AccuracyRow[]): void {
	if (!Array.isArray(rows) || rows.length === 0) fail("an array of rows { policy, budget, score }", received(rows));
	rows.forEach((row: Partial<AccuracyRow> | null, i) => {
		if (typeof row?.policy !== "string") fail(`a string for policy in row ${i}`, received(row?.policy));
		if (row.budget !== undefined && !Number.isFinite(row.budget))
			fail(`a number for budget in row ${i}`, received(row.budget));
		if (!(Number(row.score) >= 0 && Number(row.score) <= 1))
			fail(`a score from 0 to 1 in row ${i}`, received(row.score));
	});
}
