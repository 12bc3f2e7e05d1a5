// Predicts a published run: the schedule as the authors' code of that time ran it, on a profile. Our own planners are
// not used here, as they do not share that code's faults, waits and cache releases.

import { publishedV2 } from "../train/schedule/published/v2.js";
import { publishedV3 } from "../train/schedule/published/v3.js";
import type { Schedule } from "../train/schedule/task.js";
import { planSerialUpdate } from "../train/schedule/zero-offload.js";
import type { Profile } from "./profile.js";
import type { MeasuredTimes, Run } from "./runs.js";
import { simulate } from "./simulate.js";

/** The schedule that a run's code followed. */
export function publishedSchedule(run: Run): Schedule {
	const { configuration, schedule, stride } = run;
	if (schedule === "S0") {
		return planSerialUpdate(configuration, { planner: "published-S0", flush: "pageable", asPublished: true });
	}
	if (schedule === "S1") {
		return planSerialUpdate(configuration, { planner: "published-S1", flush: "pinned", asPublished: true });
	}
	return run.code === "v3" ? publishedV3(configuration, stride) : publishedV2(configuration, stride);
}

/**
 * Predicted times of a run.
 *
 * @param schedule of the run, where it is already planned
 */
export function predictRun(run: Run, profile: Profile, schedule = publishedSchedule(run)): MeasuredTimes {
	const { forwardUs, backwardUs, updateUs, iterationUs } = simulate(schedule, profile);
	return {
		forwardMs: forwardUs / 1e3,
		backwardMs: backwardUs / 1e3,
		updateMs: updateUs / 1e3,
		iterationMs: iterationUs / 1e3,
	};
}
