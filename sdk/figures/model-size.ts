// Figures over model sizes: iteration time by phase, update throughput, and the time of 100 iterations.

import { profileByName } from "../hardware/profiles/index.js";
import { type PublishedSize, publishedConfiguration, publishedSizes } from "../train/schedule/published-models.js";
import { drawComparison } from "./draw.js";
import { play, publishedSource, scheduleKeys, scheduleNames, simulatedOn } from "./play.js";
import { type FigureRow, type PaperFigure, paperFigure } from "./result.js";

/** Seconds an iteration on 4×H100. Source: arXiv:2410.21316, iteration time over model sizes. */
const publishedSeconds: Readonly<Record<PublishedSize, { S0: number; S2: number }>> = {
	"7B": { S0: 3.1, S2: 1.6 },
	"8.3B": { S0: 4.7, S2: 2.4 },
	"10B": { S0: 4.5, S2: 2.2 },
	"13B": { S0: 5.7, S2: 2.3 },
	"20B": { S0: 7.3, S2: 2.9 },
};

const nominalBillions = (size: PublishedSize): number => Number(size.slice(0, -1));

/** Iteration time, and its phases in the table, for each model size. */
export function iterationTime(): PaperFigure {
	const profile = profileByName("h100-4x");
	const rows = publishedSizes.flatMap((size) =>
		scheduleKeys.flatMap((key): FigureRow[] => {
			const { forwardUs, backwardUs, updateUs, iterationUs } = play(key, publishedConfiguration(size), profile);
			const published = key === "S0" || key === "S2" ? publishedSeconds[size][key] : null;
			const row = (quantity: string, us: number, value: number | null = null): FigureRow => ({
				setting: size,
				schedule: scheduleNames[key],
				quantity,
				unit: "s",
				simulated: us / 1e6,
				published: value,
			});
			return [
				row("iteration", iterationUs, published),
				row("forward", forwardUs),
				row("backward", backwardUs),
				row("update", updateUs),
			];
		}),
	);
	const at = (key: "S0" | "S1" | "S2"): number =>
		rows.find((row) => row.setting === "20B" && row.schedule === scheduleNames[key] && row.quantity === "iteration")!
			.simulated!;
	const speedUp = `20B: S2 is ${(at("S0") / at("S2")).toFixed(2)} times faster than S0 and ${(at("S1") / at("S2")).toFixed(2)} times faster than S1.`;
	const chart = drawComparison(rows, {
		title: "Iteration time by model size, 4×H100",
		caption: `${speedUp} ${simulatedOn(profile)} ${publishedSource} Sizes are nominal.`,
		x: "model",
		y: "iteration, s",
		quantity: "iteration",
	});
	return paperFigure("iteration-time", rows, chart);
}

/** Update throughput by model size, the nominal size over the update's time as the authors count it. */
export function updateThroughput(): PaperFigure {
	const profile = profileByName("h100-4x");
	const rows = publishedSizes.flatMap((size) =>
		scheduleKeys.map((key): FigureRow => {
			const { updateUs } = play(key, publishedConfiguration(size), profile);
			return {
				setting: size,
				schedule: scheduleNames[key],
				quantity: "update throughput",
				unit: "billion parameters/s",
				simulated: nominalBillions(size) / (updateUs / 1e6),
				published: null,
			};
		}),
	);
	const chart = drawComparison(rows, {
		title: "Update throughput by model size, 4×H100",
		caption: `Nominal parameters of the whole model over the update's time. ${simulatedOn(profile)}`,
		x: "model",
		y: "billion parameters/s",
		quantity: "update throughput",
	});
	return paperFigure("update-throughput", rows, chart);
}

/** Time of 100 iterations by model size. */
export function endToEnd(): PaperFigure {
	const profile = profileByName("h100-4x");
	const rows = publishedSizes.flatMap((size) =>
		scheduleKeys.map((key): FigureRow => {
			const { iterationUs } = play(key, publishedConfiguration(size), profile);
			return {
				setting: size,
				schedule: scheduleNames[key],
				quantity: "100 iterations",
				unit: "s",
				simulated: iterationUs / 1e4,
				published: null,
			};
		}),
	);
	const chart = drawComparison(rows, {
		title: "Time of 100 iterations by model size, 4×H100",
		caption: `100 times a simulated iteration, without the first iterations' slower start. ${simulatedOn(profile)}`,
		x: "model",
		y: "time, s",
		quantity: "100 iterations",
	});
	return paperFigure("end-to-end", rows, chart);
}
