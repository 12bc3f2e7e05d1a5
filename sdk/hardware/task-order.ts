// The tasks of a simulated iteration in the order in which they begin, each with what runs beside it.

import { memoryOverTime } from "./memory.js";
import type { Simulation } from "./simulate.js";
import type { TaskStep } from "./task-step.js";

/** Orders tasks by their starts. */
export function orderOfStarts(simulation: Simulation): TaskStep[] {
	const moments = memoryOverTime(simulation);
	const ordered = [...simulation.tasks].sort((a, b) => a.startUs - b.startUs || a.endUs - b.endUs);
	let moment = -1;
	let running: typeof ordered = [];
	return ordered.map((each, index) => {
		while (moments[moment + 1] !== undefined && moments[moment + 1]!.timeUs <= each.startUs) moment++;
		const { deviceBytes = 0, hostBytes = 0 } = moments[moment] ?? {};
		running = running.filter(({ endUs }) => endUs > each.startUs);
		const ids = running.map(({ task }) => task.id);
		running.push(each);
		return { index, ...each, deviceBytes, hostBytes, running: ids };
	});
}
