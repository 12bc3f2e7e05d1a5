// Fits a profile's constants to measured runs: damped least squares on the logarithms of the constants, held near
// what data sheets say by a weak prior, so that a constant no run speaks about stays where its source put it.

import { OctavoError } from "../errors.js";
import { solveLeastSquares } from "./least-squares.js";
import { predictRun, publishedSchedule } from "./predict.js";
import { type ConstantName, constantNames, constantsOf, type Profile, withConstants } from "./profile.js";
import type { MeasuredTimes, Run } from "./runs.js";

/** How to fit. */
export interface CalibrateOptions {
	/** Constants to fit. Default: those whose source in the profile is `fitted`. */
	readonly fit?: readonly ConstantName[];
	/**
	 * Standard deviation of each constant around its prior, as a natural logarithm. Default `defaultPriorSpread`, and 1
	 * (a factor of 2.7) for constants that are not in it.
	 */
	readonly priorSpread?: Readonly<Partial<Record<ConstantName, number>>>;
	/** Greatest number of steps, from 0. Default 30. */
	readonly maxSteps?: number;
}

/** Relative error of each phase, predicted over measured minus 1. */
export interface RunResidual {
	/** The run. */
	readonly run: Run;
	/** Its predicted times. */
	readonly predicted: MeasuredTimes;
	/** Predicted / measured − 1 of forward. */
	readonly forward: number;
	/** The same of backward. */
	readonly backward: number;
	/** The same of the update. */
	readonly update: number;
	/** The same of the iteration. */
	readonly iteration: number;
}

/** A fitted profile and how well it explains the runs. */
export interface Calibration {
	/** The fitted profile. */
	readonly profile: Profile;
	/** How far each run it was fitted on is off. */
	readonly residuals: readonly RunResidual[];
}

/** How well data sheets and separate measurements know a constant before any run is seen; the rest is open. */
export const defaultPriorSpread: Readonly<Partial<Record<ConstantName, number>>> = {
	deviceTflops: 0.1,
	gatherGBs: 0.3,
	deviceAdamNs: 0.3,
	launchMs: 0.5,
	fetchMs: 0.5,
	backwardLaunchRatio: 0.3,
	reduceNs: 0.5,
	downscaleNs: 0.5,
	hostContention: 0.5,
	flushCacheSaving: 0.5,
	normMs: 0.7,
};

/** Standard deviation that a measured phase is taken to have: replicates of one run differ by 3.7 % in the median. */
const spread = { forward: 0.06, backward: 0.03, update: 0.015, iteration: 0.01 } as const;

/** Predicts measured runs and compares. Runs without measured times are left out. */
export function compareRuns(profile: Profile, runs: readonly Run[]): RunResidual[] {
	return runs.flatMap((run) => (run.measured ? [residual(run, run.measured, predictRun(run, profile))] : []));
}

function residual(run: Run, measured: MeasuredTimes, predicted: MeasuredTimes): RunResidual {
	return {
		run,
		predicted,
		forward: predicted.forwardMs / measured.forwardMs - 1,
		backward: predicted.backwardMs / measured.backwardMs - 1,
		update: predicted.updateMs / measured.updateMs - 1,
		iteration: predicted.iterationMs / measured.iterationMs - 1,
	};
}

/**
 * Fits a profile to the runs marked `calibration`; others are ignored, also when they are given.
 *
 * @throws {OctavoError} ERR_OCTAVO_CALIBRATION when no run can be used
 */
export function calibrate(profile: Profile, runs: readonly Run[], options: CalibrateOptions = {}): Calibration {
	return calibrateTogether([{ profile, runs }], [], options)[0]!;
}

/**
 * Fits several profiles at once, in which some constants are the same: those of the device, where two profiles differ
 * only in how their host is set up. Then runs of one profile speak for the other.
 *
 * @param shared constants that all profiles have in common; they start at the first profile's values
 * @throws {OctavoError} ERR_OCTAVO_CALIBRATION when a profile has no run that can be used
 */
export function calibrateTogether(
	samples: readonly { readonly profile: Profile; readonly runs: readonly Run[] }[],
	shared: readonly ConstantName[],
	options: CalibrateOptions = {},
): Calibration[] {
	const priorSpread = options.priorSpread ?? defaultPriorSpread;
	const parts = samples.map(({ profile, runs }) => {
		const used = runs.filter((run) => run.use === "calibration" && run.measured);
		if (used.length === 0) {
			const message = `Expected measured runs marked calibration for ${profile.name} but received none among ${runs.length}`;
			throw new OctavoError("ERR_OCTAVO_CALIBRATION", message);
		}
		const names = options.fit ?? constantNames.filter((name) => profile.constants[name].source === "fitted");
		return { profile, used, names, schedules: used.map(publishedSchedule) };
	});
	// A parameter of the fit is a constant of one profile, or a shared constant of all that fit it.
	const keyOf = (name: ConstantName, part: number): string => (shared.includes(name) ? name : `${part}.${name}`);
	const origin = new Map<string, number>();
	for (const [part, { profile, names }] of parts.entries()) {
		const start = constantsOf(profile);
		for (const name of names) {
			const key = keyOf(name, part);
			if (!origin.has(key)) origin.set(key, Math.log(profile.constants[name].prior ?? start[name]));
		}
	}
	const keys = [...origin.keys()];
	const starts = [...origin.values()];
	const spreads = keys.map((key) => priorSpread[key.replace(/^\d+\./, "") as ConstantName] ?? 1);
	const at = (logs: readonly number[], part: number): Profile => {
		const { profile, names } = parts[part]!;
		const values = names.map((name) => [name, Math.exp(logs[keys.indexOf(keyOf(name, part))]!)]);
		return withConstants(profile, Object.fromEntries(values), "fitted");
	};
	const solution = solveLeastSquares(
		(logs) => {
			const errors = parts.flatMap(({ used, schedules }, part) => {
				const trial = at(logs, part);
				return used.flatMap((run, index) => {
					const error = residual(run, run.measured!, predictRun(run, trial, schedules[index]!));
					return (Object.keys(spread) as (keyof typeof spread)[]).map((phase) => error[phase] / spread[phase]);
				});
			});
			return [...errors.map(soften), ...logs.map((log, i) => (log - starts[i]!) / spreads[i]!)];
		},
		starts,
		options.maxSteps ?? 30,
	);
	return parts.map(({ used }, part) => {
		const fitted = at(solution, part);
		return { profile: fitted, residuals: compareRuns(fitted, used) };
	});
}

/** Square root of the pseudo-Huber loss: outlying runs pull linearly, so one odd run does not bend a constant. */
function soften(error: number): number {
	const knee = 2;
	return Math.sign(error) * knee * Math.sqrt(2 * (Math.sqrt(1 + (error / knee) ** 2) - 1));
}
