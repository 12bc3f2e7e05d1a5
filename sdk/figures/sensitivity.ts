// Figures over what a user may choose: micro-batch, data-parallel degree, gradient accumulation and subgroup size.

import { profileByName } from "../hardware/profiles/index.js";
import { type PublishedChanges, publishedConfiguration } from "../train/schedule/published-models.js";
import { drawComparison } from "./draw.js";
import { play, scheduleKeys, scheduleNames, simulatedOn } from "./play.js";
import { type FigureRow, type PaperFigure, paperFigure } from "./result.js";

interface Sweep {
	readonly name: string;
	readonly title: string;
	readonly x: string;
	readonly settings: readonly (readonly [setting: string, changes: PublishedChanges])[];
}

function sweep({ name, title, x, settings }: Sweep): PaperFigure {
	const profile = profileByName("h100-4x");
	const rows = settings.flatMap(([setting, changes]) =>
		scheduleKeys.map((key): FigureRow => {
			const { iterationUs } = play(key, publishedConfiguration("20B", changes), profile);
			return {
				setting,
				schedule: scheduleNames[key],
				quantity: "iteration",
				unit: "s",
				simulated: iterationUs / 1e6,
				published: null,
			};
		}),
	);
	const chart = drawComparison(rows, {
		title: `Iteration time by ${title}, 20B on H100`,
		caption: simulatedOn(profile),
		x,
		y: "iteration, s",
		quantity: "iteration",
	});
	return paperFigure(name, rows, chart);
}

/** Iteration time over the micro-batch size: forward and backward grow, the update does not. */
export function microBatch(): PaperFigure {
	const settings = [1, 2, 4, 8].map((microBatchSize) => [`${microBatchSize}`, { microBatchSize }] as const);
	return sweep({ name: "micro-batch", title: "micro-batch size", x: "sequences a micro-step and rank", settings });
}

/** Iteration time over gradient accumulation. */
export function gradientAccumulation(): PaperFigure {
	const settings = [1, 2, 4, 8].map((count) => [`${count}`, { gradientAccumulation: count }] as const);
	return sweep({ name: "gradient-accumulation", title: "gradient accumulation", x: "micro-steps", settings });
}

/** Iteration time over the data-parallel degree of one node. */
export function dataParallel(): PaperFigure {
	const settings = [2, 4].map((degree) => [`${degree}`, { dataParallel: degree }] as const);
	return sweep({ name: "data-parallel", title: "data-parallel degree", x: "ranks of one node", settings });
}

/** Iteration time over the subgroup size. */
export function subgroupSize(): PaperFigure {
	const settings = [1e8, 2e8, 4e8, 8e8].map((size) => [`${size / 1e6} M`, { subgroupSize: size }] as const);
	return sweep({ name: "subgroup-size", title: "subgroup size", x: "smallest subgroup, parameters", settings });
}
