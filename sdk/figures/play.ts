// The four schedules that the figures compare, each simulated on a profile. The first three are played as the authors'
// code ran them, cache releases included, since the published values are of that code.

import { publishedSchedule } from "../hardware/predict.js";
import type { Profile } from "../hardware/profile.js";
import { searchOctavo } from "../hardware/search.js";
import { type Simulation, simulate } from "../hardware/simulate.js";
import type { TrainingConfiguration } from "../train/schedule/configuration.js";

/** Names of the schedules in tables and legends. S1 is the fair baseline: S0 with an asynchronous gradient flush. */
export const scheduleNames = {
	S0: "S0 zero-offload",
	S1: "S1 zero-offload-async",
	S2: "S2 deep-optimizer-states",
	octavo: "octavo",
} as const;

/** Short name of a schedule. */
export type ScheduleKey = keyof typeof scheduleNames;

/** All of them, in the order in which they are drawn. */
export const scheduleKeys = Object.keys(scheduleNames) as readonly ScheduleKey[];

/** Colours of the schedules. */
export const scheduleColors = { S0: "#8C8C8C", S1: "#E69F00", S2: "#0072B2", octavo: "#009E73" } as const;

/**
 * Simulates one schedule. Octavo's keeps no more resident than the configuration says, so that it is compared at equal
 * residency.
 *
 * @param stride update stride of S2; default 2, the best one on all published machines
 */
export function play(key: ScheduleKey, configuration: TrainingConfiguration, profile: Profile, stride = 2): Simulation {
	if (key === "octavo") return searchOctavo(configuration, profile, { maxResident: 0 }).simulation;
	const code = profile.name.startsWith("h100") ? ("v3" as const) : ("v2" as const);
	const run = { id: key, profile: profile.name, configuration, schedule: key, stride: key === "S2" ? stride : 0, code };
	return simulate(publishedSchedule(run), profile);
}

/** What a simulation is about, for captions. */
export function simulatedOn(profile: Profile): string {
	return `Bars: simulated by Octavo on profile ${profile.name} (${profile.description}); S0, S1 and S2 as the authors' code ran them; octavo by our planner, without that code's cache releases and with nothing more kept resident.`;
}

/** Source of published values. */
export const publishedSource = "Diamonds: published by the authors (arXiv:2410.21316), printed to one decimal.";
