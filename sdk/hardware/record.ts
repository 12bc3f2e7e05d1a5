// A simulation as the record that charts and files use: the same tables that a real run gives.

import { IterationTrace } from "../trace/iteration-trace.js";
import { ranksPerNode } from "../train/schedule/configuration.js";
import type { Simulation } from "./simulate.js";
import { simulationTables } from "./tables.js";

/** The Arrow trace of a simulation. */
export function recordIteration(simulation: Simulation): IterationTrace {
	const { schedule, profile, iterationUs, forwardUs, backwardUs, updateUs, utilisation } = simulation;
	const otherUs = Math.max(0, iterationUs - forwardUs - backwardUs - updateUs);
	return IterationTrace.from(
		{
			...simulationTables(simulation),
			utilisation: { resource: Object.keys(utilisation), busy_share: Object.values(utilisation) },
			phases: {
				phase: ["forward", "backward", "update", "other"],
				duration_us: [forwardUs, backwardUs, updateUs, otherUs],
			},
		},
		{
			planner: schedule.planner,
			profile: profile.name,
			hardware: profile.description,
			origin: "simulated",
			iterationUs,
			deviceBytes: profile.deviceBytes,
			hostBytes: profile.hostBytes,
			numRanks: ranksPerNode(schedule.configuration),
		},
	);
}
