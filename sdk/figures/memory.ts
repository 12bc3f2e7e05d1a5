// The figure of memory over one iteration: the fluctuation that lets optimizer state visit the device at all.

import { iterationMemory } from "../chart/iteration-memory.js";
import { profileByName } from "../hardware/profiles/index.js";
import { recordIteration } from "../hardware/record.js";
import { publishedConfiguration } from "../train/schedule/published-models.js";
import { play, scheduleKeys, scheduleNames } from "./play.js";
import { type FigureRow, type PaperFigure, paperFigure } from "./result.js";

/** Device memory over an iteration of 20B; the table has the highest and lowest use. */
export function memoryFluctuation(): PaperFigure {
	const profile = profileByName("h100-4x");
	const traces = scheduleKeys.map((key) => recordIteration(play(key, publishedConfiguration("20B"), profile)));
	const rows = traces.flatMap((trace, i): FigureRow[] => {
		// The last row is the end of the iteration, at which nothing temporary is left.
		const bytes = (trace.columns("memory").device_bytes as number[]).slice(0, -1);
		const base = { setting: "20B", schedule: scheduleNames[scheduleKeys[i]!], unit: "GB", published: null };
		return [
			{ ...base, quantity: "highest device memory", simulated: Math.max(...bytes) / 1e9 },
			{ ...base, quantity: "lowest device memory", simulated: Math.min(...bytes) / 1e9 },
		];
	});
	return paperFigure("memory", rows, iterationMemory(...traces));
}
