// Why an evicted slot needs a mask: a zero key still takes its share of the softmax. The same tokens are taken away in
// three ways: evicted, zeroed in place, and not at all.

import { bootstrapMean, type Interval } from "../../chart/bootstrap.js";
import { errorBars } from "../../chart/error-bars.js";
import { colors, finish, round } from "../../chart/theme.js";
import { full, random } from "../../decode/policies/index.js";
import type { Session } from "../../decode/session.js";
import type { Model } from "../../load-model.js";
import { answer, recall } from "../../model/tasks/index.js";
import { integer } from "../../options.js";
import { figureOf, type PaperFigure } from "../result.js";
import { type ExperimentOptions, runCases } from "./evaluate.js";
import { checkExperiment, measuredOn, promptSeeds, sharedChecks } from "./options.js";
import { scoreInterval } from "./points.js";

/** Options of `zeroedOrEvicted`. */
export interface ZeroedOptions extends ExperimentOptions {
	/** KV tokens kept a layer, from three blocks to below the prompt's 128. Default 96. */
	budget?: number;
	/** Slots a block, from 1 to 256. Default 8. */
	blockSize?: number;
}

/** One way to take tokens away. */
export interface ZeroedPoint {
	/** What was done with the tokens. */
	readonly way: "nothing taken" | "evicted" | "zeroed in place";
	/** Mean fraction of questions answered right. */
	readonly score: number;
	/** Ends of the 95 % bootstrap interval over prompts. */
	readonly score_low: number;
	/** Upper end of it. */
	readonly score_high: number;
	/** Share of the question's attention on slots whose tokens were taken away, mean over heads, layers and prompts. */
	readonly mass_on_dropped: number;
	/** Ends of its 95 % bootstrap interval. */
	readonly mass_low: number;
	/** Upper end of it. */
	readonly mass_high: number;
	/** Prompts that the means are over. */
	readonly num_prompts: number;
}

const schema = {
	way: { type: "text", description: "How the tokens were taken away" },
	score: { type: "f64", description: "Fraction of questions answered right, 0 to 1" },
	score_low: { type: "f64", description: "Lower end of the 95 % bootstrap interval over prompts" },
	score_high: { type: "f64", description: "Upper end" },
	mass_on_dropped: { type: "f64", description: "Share of attention on slots of tokens taken away, 0 to 1" },
	mass_low: { type: "f64", description: "Lower end of its 95 % bootstrap interval" },
	mass_high: { type: "f64", description: "Upper end" },
	num_prompts: { type: "i32", description: "Prompts" },
} as const;

// Length of the task's prompt. A budget that holds all of it would take nothing away.
const numContext = 128;

const ways = ["nothing taken", "evicted", "zeroed in place"] as const;

// Slots are in order of position in a cache that dropped nothing.
function zero(session: Session, layer: number, positions: readonly number[], blockSize: number): void {
	const view = session.layer(layer);
	for (const position of positions) {
		const block = view.block(Math.floor(position / blockSize));
		for (const tensor of [block.keys, block.values]) {
			const [numHeads, , headDim] = tensor.shape as [number, number, number];
			for (let head = 0; head < numHeads; head++) {
				const from = (head * blockSize + (position % blockSize)) * headDim;
				(tensor.data as Float32Array).fill(0, from, from + headDim);
			}
		}
	}
}

function massOn(session: Session, layer: number, positions: readonly number[]): number {
	const pattern = session.layer(layer).pattern();
	const [numHeads] = pattern.shape as [number];
	let sum = 0;
	for (const position of positions) for (let head = 0; head < numHeads; head++) sum += pattern.get(head, position);
	return sum / numHeads;
}

/**
 * Evicting tokens beside zeroing their keys and values: what is answered, and what attention the dead slots take. The
 * tokens are drawn by chance, so that no score is to blame.
 *
 * @returns a point a way, the mean of `numPrompts` (default 60)
 * @throws {OctavoError} ERR_OCTAVO_OPTION, ERR_OCTAVO_BUDGET
 */
export async function zeroedOrEvicted(model: Model, options: ZeroedOptions = {}): Promise<PaperFigure<ZeroedPoint>> {
	const checked = checkExperiment("zeroedOrEvicted", model, options, {
		...sharedChecks(60),
		budget: integer(1, numContext - 1, 96),
		blockSize: integer(1, 256, 8),
	});
	const { budget, blockSize, numPrompts } = checked;
	const found = await runCases(
		promptSeeds(checked),
		(seed) => {
			const { context, queries } = recall({ seed, numQueries: 1, filler: "markov" });
			const shared = { blockSize, seed, recordBlocks: false };
			using evicted = model.session({ ...shared, policy: random({ budget, seed }) });
			evicted.prefillSync(context);
			const dropped = new Map<number, number[]>();
			for (const row of evicted.trace.table("evictions")) dropped.set(row.layer_index, Array.from(row.positions));
			return ways.map((way) => {
				using other = model.session({ ...shared, policy: full() });
				const session = way === "evicted" ? evicted : other;
				if (way !== "evicted") session.prefillSync(context);
				if (way === "zeroed in place")
					for (const [layer, positions] of dropped) zero(session, layer, positions, blockSize);
				const { correct } = answer(session, queries[0]!);
				const masses = [...dropped].map(([layer, positions]) =>
					way === "evicted" ? 0 : massOn(session, layer, positions),
				);
				return { correct: Number(correct), mass: masses.reduce((sum, mass) => sum + mass, 0) / masses.length };
			});
		},
		checked,
	);
	const rows = ways.map((way, i): ZeroedPoint => {
		const own = found.map((prompt) => prompt[i]!);
		const over = (value: (prompt: (typeof own)[number]) => number) => bootstrapMean(own.map(value), 0.95);
		const score = over(({ correct }) => correct);
		const mass = over((prompt) => prompt.mass);
		return {
			way,
			score: score.mean,
			score_low: score.low,
			score_high: score.high,
			mass_on_dropped: mass.mean,
			mass_low: mass.low,
			mass_high: mass.high,
			num_prompts: numPrompts,
		};
	});
	const bars = (name: string, color: string, value: (row: ZeroedPoint) => Interval) => ({
		type: "bar",
		name,
		x: rows.map((row) => row.way),
		y: rows.map((row) => round(value(row).mean)),
		error_y: errorBars(rows.map(value), colors.protected),
		marker: { color },
		texttemplate: "%{y:.2f}",
		textposition: "inside",
		insidetextanchor: "start",
	});
	const chart = finish(
		[
			bars("fraction answered right", colors.kept, scoreInterval),
			bars(
				"attention on the slots of dropped tokens",
				colors.evicted,
				({ mass_on_dropped: mean, mass_low: low, mass_high: high }) => ({
					mean,
					low,
					high,
				}),
			),
		],
		{
			title: `Evicted, or zeroed in place: ${numContext - budget} of ${numContext} tokens drawn by chance`,
			caption: `The same tokens in each way, ${numPrompts} prompts, 95 % bootstrap intervals over them; attention of the answer's last token, mean over heads, layers and prompts. A zero key has logit 0, not −∞. ${measuredOn(model)}`,
			plotHeight: 300,
			layout: {
				barmode: "group",
				xaxis: { type: "category", showgrid: false },
				yaxis: { title: { text: "fraction, or share of attention" }, range: [0, 1.08] },
			},
		},
	);
	return figureOf("zeroed-or-evicted", schema, rows, chart);
}
