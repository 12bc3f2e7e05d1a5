// One policy, changed in one respect at a time: what a token's score is, when the prompt is cut, what is asked when. Each
// variant stands beside the random control at the same budget.

import { errorBars } from "../../chart/error-bars.js";
import type { Figure } from "../../chart/figure.js";
import { colors, escapeText, finish, round, symbols } from "../../chart/theme.js";
import type { Model } from "../../load-model.js";
import { recall } from "../../model/tasks/index.js";
import { integer } from "../../options.js";
import type { PaperFigure } from "../result.js";
import type { Contender } from "./contenders.js";
import { type Asking, type ExperimentOptions, runCases } from "./evaluate.js";
import { checkExperiment, measuredOn, promptSeeds, sharedChecks } from "./options.js";
import { type Point, pointFigure, pointsOf, scoreInterval } from "./points.js";
import { sampleOf } from "./sample.js";

/** A way to run a policy. */
export interface Variant extends Contender, Asking {
	/** What is compared within: the score, the scope. */
	readonly setting: string;
}

/** Options of experiments with variants. */
export interface VariantOptions extends ExperimentOptions {
	/** KV tokens kept a layer, of 128: a multiple of `blockSize`, at least three blocks. Default 64. */
	budget?: number;
	/** Slots a block, from 1 to 256. Default 8. */
	blockSize?: number;
}

/** Runs the variants on recall prompts with one question each, and draws a bar a variant with its 95 % interval. */
export async function runVariants(
	model: Model,
	variants: readonly Variant[],
	options: VariantOptions,
	text: { call: string; name: string; title: string; caption: string },
): Promise<PaperFigure<Point>> {
	const checked = checkExperiment(text.call, model, options, {
		...sharedChecks(60),
		budget: integer(1, 2 ** 31 - 1, 64),
		blockSize: integer(1, 256, 8),
	});
	const { budget, blockSize, numPrompts } = checked;
	const cases = promptSeeds(checked).flatMap((seed) => variants.map((variant) => ({ seed, variant })));
	const samples = await runCases(
		cases,
		({ seed, variant }) => {
			const prompt = recall({ seed, numQueries: 1, filler: "markov" });
			const { setting } = variant;
			return sampleOf(model, { task: "recall", setting, contender: variant, budget, blockSize, seed, prompt });
		},
		checked,
	);
	const points = pointsOf(samples);
	const chart = drawVariants(points, {
		title: `${text.title}: budget ${budget} of 128 tokens`,
		caption: `${text.caption} Recall, one question a prompt, ${numPrompts} prompts; mean and 95 % bootstrap interval. ${measuredOn(model)}`,
	});
	return pointFigure(text.name, points, chart);
}

function drawVariants(points: readonly Point[], text: { title: string; caption: string }): Figure {
	const settings = [...new Set(points.map((point) => point.setting))];
	const looks = [colors.kept, colors.runnerUp, colors.reference, colors.mark];
	const data = settings.map((setting, i) => {
		const own = points.filter((point) => point.setting === setting);
		return {
			type: "scatter",
			mode: "markers",
			orientation: "h",
			name: escapeText(setting),
			y: own.map((point) => escapeText(point.policy)),
			x: own.map((point) => round(point.score)),
			error_x: errorBars(own.map(scoreInterval)),
			marker: { color: looks[i % looks.length], symbol: symbols[i % looks.length], size: 9 },
			hovertemplate: "%{y}: %{x:.3f}<extra></extra>",
		};
	});
	return finish(data, {
		...text,
		plotHeight: 24 * points.length + 30,
		layout: {
			scattermode: "group",
			showlegend: settings.length > 1,
			xaxis: { title: { text: "fraction answered right", standoff: 6 }, range: [-0.02, 1.05], zeroline: false },
			yaxis: { type: "category", autorange: "reversed", automargin: true, showgrid: false },
		},
	});
}
