// Figures over where subgroups live and are updated: residency (TwinFlow), the update stride, and what each share of
// device updates does to the device and the links.

import type { Simulation } from "../hardware/index.js";
import { profileByName } from "../hardware/profiles/index.js";
import { publishedConfiguration } from "../train/schedule/published-models.js";
import { drawComparison } from "./draw.js";
import { play, publishedSource, scheduleKeys, scheduleNames, simulatedOn } from "./play.js";
import { type FigureRow, type PaperFigure, paperFigure } from "./result.js";

/** Update seconds of 20B on 4×H100 by resident percentage. Source: arXiv:2410.21316, comparison with TwinFlow. */
const publishedUpdate = [
	{ resident: 0, S0: 2.3, S2: 1.3 },
	{ resident: 10, S0: 2.0, S2: 1.1 },
	{ resident: 20, S0: 1.8, S2: 1.0 },
	{ resident: 30, S0: 1.6, S2: 0.9 },
	{ resident: 40, S0: 1.4, S2: 0.8 },
	{ resident: 50, S0: 1.2, S2: 0.7 },
] as const;

/** Update time of 20B as more subgroups are resident; iteration times are in the table. */
export function twinflowRatio(): PaperFigure {
	const profile = profileByName("h100-4x");
	const rows = publishedUpdate.flatMap((published) =>
		scheduleKeys.flatMap((key): FigureRow[] => {
			const offloadRatio = (100 - published.resident) / 100;
			const { updateUs, iterationUs } = play(key, publishedConfiguration("20B", { offloadRatio }), profile);
			const base = { setting: `${published.resident} %`, schedule: scheduleNames[key], unit: "s" };
			const value = key === "S0" || key === "S2" ? published[key] : null;
			return [
				{ ...base, quantity: "update", simulated: updateUs / 1e6, published: value },
				{ ...base, quantity: "iteration", simulated: iterationUs / 1e6, published: null },
			];
		}),
	);
	const chart = drawComparison(rows, {
		title: "Update time by resident share, 20B on 4×H100",
		caption: `Resident subgroups keep their state on the device (TwinFlow's ratio). ${simulatedOn(profile)} ${publishedSource}`,
		x: "subgroups resident on the device",
		y: "update, s",
		quantity: "update",
	});
	return paperFigure("twinflow-ratio", rows, chart);
}

/** Iteration time over the update stride. S0, S1 and octavo do not depend on it and are drawn for comparison. */
export function updateStride(name: "h100-4x" | "a100-4x-bound"): PaperFigure {
	const profile = profileByName(name);
	const size = name === "h100-4x" ? "20B" : "13B";
	const configuration = publishedConfiguration(size);
	const settings = [2, 3, 4, 5, 6, 8];
	const fixed = scheduleKeys
		.filter((key) => key !== "S2")
		.map((key) => ({ key, run: play(key, configuration, profile) }));
	const rows = settings.flatMap((stride): FigureRow[] => {
		const runs = [...fixed, { key: "S2" as const, run: play("S2", configuration, profile, stride) }];
		return runs.map(({ key, run }) => ({
			setting: `k=${stride}`,
			schedule: scheduleNames[key],
			quantity: "iteration",
			unit: "s",
			simulated: run.iterationUs / 1e6,
			published: null,
		}));
	});
	const best = rows
		.filter((row) => row.schedule === scheduleNames.S2)
		.reduce((a, b) => (b.simulated! < a.simulated! ? b : a)).setting;
	const chart = drawComparison(rows, {
		title: `Iteration time by update stride, ${size} on ${name}`,
		caption: `Every k-th subgroup is updated on the device. Best simulated: ${best}; published: k=2 (arXiv:2410.21316). Only S2 has a stride. ${simulatedOn(profile)}`,
		x: "update stride k",
		y: "iteration, s",
		quantity: "iteration",
	});
	return paperFigure(`update-stride-${name}`, rows, chart);
}

/** Percent of the update with the device busy. Source: arXiv:2410.21316, utilisation by share of device updates. */
const publishedBusy = { 0: 11.5, 25: 64.1, 33: 71.7, 50: 95.5 } as const;

/** Device and link use while updating, by the share of subgroups that the device updates. */
export function deviceShare(): PaperFigure {
	const profile = profileByName("h100-4x");
	const configuration = publishedConfiguration("20B");
	const shares = [
		{ share: 0, stride: 0 },
		{ share: 25, stride: 4 },
		{ share: 33, stride: 3 },
		{ share: 50, stride: 2 },
	] as const;
	const rows = shares.flatMap(({ share, stride }): FigureRow[] => {
		const key = stride === 0 ? "S1" : "S2";
		const { busyShare, h2dGBs, d2hGBs } = updateUse(play(key, configuration, profile, stride || 2));
		const base = { setting: `${share} %`, schedule: scheduleNames[key] };
		const link = (quantity: string, value: number): FigureRow => ({
			...base,
			quantity,
			unit: "GB/s",
			simulated: value,
			published: share === 50 ? 19 : null,
		});
		return [
			{ ...base, quantity: "device busy", unit: "%", simulated: 100 * busyShare, published: publishedBusy[share] },
			link("host → device", h2dGBs),
			link("device → host", d2hGBs),
		];
	});
	const chart = drawComparison(rows, {
		title: "Device busy during the update by share of device updates, 20B on 4×H100",
		caption: `Ours: share of the update in which the device computes or copies. The authors' counter (diamonds, arXiv:2410.21316) is a sampled utilisation with another definition; pageable uploads (S1) count as work of the host here. Link rates are in the table. ${simulatedOn(profile)}`,
		x: "subgroups updated on the device",
		y: "busy, %",
		quantity: "device busy",
	});
	return paperFigure("device-share", rows, chart);
}

/** Use of the device and its links while the update runs. */
function updateUse({ tasks }: Simulation): { busyShare: number; h2dGBs: number; d2hGBs: number } {
	const update = tasks.filter(({ task }) => task.phase === "update");
	const start = Math.min(...update.map(({ startUs }) => startUs));
	const end = Math.max(...update.map(({ endUs }) => endUs));
	const onDevice = update.filter(({ task }) => ["device", "h2d", "d2h"].includes(task.resource));
	let busyUs = 0;
	let reached = start;
	for (const { startUs, endUs } of [...onDevice].sort((a, b) => a.startUs - b.startUs)) {
		busyUs += Math.max(0, endUs - Math.max(startUs, reached));
		reached = Math.max(reached, endUs);
	}
	const rate = (resource: string): number =>
		update.filter(({ task }) => task.resource === resource).reduce((sum, { task }) => sum + task.bytes, 0) /
		1e3 /
		(end - start);
	return { busyShare: busyUs / (end - start), h2dGBs: rate("h2d"), d2hGBs: rate("d2h") };
}
