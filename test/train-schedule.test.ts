// Subgroups, buckets and planners: every parameter is in one subgroup, one bucket and one update.

import assert from "node:assert/strict";
import { test } from "node:test";
import { optimalStride, type Profile, profiles, withConstants } from "../sdk/hardware/index.js";
import { parseCsv } from "../sdk/hardware/runs.js";
import { planBuckets } from "../sdk/train/schedule/buckets.js";
import { countParameters, formSubgroups, numOffloaded, parameterNumels } from "../sdk/train/schedule/configuration.js";
import { deepOptimizerStates } from "../sdk/train/schedule/deep-optimizer-states.js";
import { octavo } from "../sdk/train/schedule/octavo.js";
import { onDevice } from "../sdk/train/schedule/on-device.js";
import type { Schedule, TaskKind } from "../sdk/train/schedule/task.js";
import { twinflow } from "../sdk/train/schedule/twinflow.js";
import { zeroOffload } from "../sdk/train/schedule/zero-offload.js";
import { zeroOffloadAsync } from "../sdk/train/schedule/zero-offload-async.js";
import { publishedRuns, runsText, tinyConfiguration } from "./helpers/training.js";

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

function elementsOf(schedule: Schedule, ...kinds: TaskKind[]): number {
	return sum(schedule.tasks.filter((task) => kinds.includes(task.kind)).map((task) => task.elements));
}

test("parameter counts and subgroups are those that the published runs logged", () => {
	const [header, ...rows] = parseCsv(runsText());
	const runs = publishedRuns();
	let compared = 0;
	for (const [index, run] of runs.entries()) {
		const column = (name: string): string => rows[index]!.fields[header!.fields.indexOf(name)]!;
		const { model, dataParallel, tensorParallel, subgroupNumels } = run.configuration;
		assert.equal(countParameters(model), Number(column("params_total")), `run ${run.id}`);
		const ranks = dataParallel * tensorParallel;
		assert.deepEqual(formSubgroups(parameterNumels(model), ranks, Number(column("subgroup_size"))), subgroupNumels);
		compared++;
	}
	assert.equal(compared, 44);
});

test("a subgroup size below 1 or no number is refused", () => {
	for (const size of [0, -1, Number.NaN]) {
		assert.throws(() => formSubgroups([10], 1, size), { code: "ERR_OCTAVO_CONFIGURATION" });
	}
	assert.deepEqual(formSubgroups([5, 5, 5, 1], 1, 10), [10, 6]);
	assert.deepEqual(formSubgroups([7], 4, 1), [2], "a parameter is divided evenly, rounded up");
});

test("buckets cover each layer and each subgroup exactly once", () => {
	for (const bucketElements of [1, 7e3, 5e4, 1e9]) {
		const configuration = tinyConfiguration({ bucketElements: Math.max(bucketElements, 2000) });
		const buckets = planBuckets(configuration);
		const shares = new Map<number, number>();
		const elements = configuration.subgroupNumels.map(() => 0);
		for (const { pieces, parts } of buckets) {
			for (const { unit, share } of pieces) shares.set(unit.layer, (shares.get(unit.layer) ?? 0) + share);
			for (const part of parts) elements[part.subgroup]! += part.elements;
		}
		assert.equal(shares.size, configuration.model.numLayers + 2);
		for (const share of shares.values()) assert.ok(Math.abs(share - 1) < 1e-9);
		assert.deepEqual(elements, configuration.subgroupNumels);
	}
});

test("two buckets are in flight at most: a third waits for the first one's buffers", () => {
	const { buffers, tasks } = zeroOffloadAsync(tinyConfiguration({ bucketElements: 20_000 }));
	const input = (bucket: number): string =>
		tasks.find((task) => task.id === `reduce[0.${bucket}]`)!.reads.find(({ buffer }) => buffer.includes("input"))!
			.buffer;
	assert.deepEqual(
		[0, 1, 2, 3].map(input),
		[0, 1, 0, 1].map((slot) => `device.bucket-input[${slot}]`),
	);
	assert.equal(buffers.filter(({ id }) => id.startsWith("device.bucket")).length, 4);
});

test("every planner updates every parameter once and moves what its description says", () => {
	for (const offloadRatio of [1, 0.6, 0]) {
		const configuration = tinyConfiguration({ offloadRatio });
		const total = sum(configuration.subgroupNumels);
		const onHost = sum(configuration.subgroupNumels.slice(0, numOffloaded(configuration)));
		const dos = deepOptimizerStates(configuration, { updateStride: 2 });
		const all = [
			onDevice(configuration),
			zeroOffload(configuration),
			zeroOffloadAsync(configuration),
			twinflow(configuration),
			dos,
			octavo(configuration, { numResident: 1, numOnDevice: 2 }),
		];
		for (const schedule of all) {
			assert.equal(elementsOf(schedule, "host-update", "fused-update", "device-update"), total, schedule.planner);
			assert.equal(elementsOf(schedule, "cast", "pageable-upload", "upload"), total, schedule.planner);
			assert.equal(elementsOf(schedule, "gradient-flush", "pageable-flush", "keep-gradient"), total, schedule.planner);
		}
		assert.equal(elementsOf(all[1]!, "host-update"), onHost);
		assert.equal(elementsOf(all[1]!, "pageable-flush"), onHost);
		assert.equal(elementsOf(all[2]!, "gradient-flush"), onHost);
		assert.equal(elementsOf(dos, "prefetch"), elementsOf(dos, "write-back"));
		const visits = dos.tasks.filter((task) => task.kind === "prefetch").length / 3;
		assert.equal(visits, Math.floor(numOffloaded(configuration) / 2), "every second offloaded subgroup");
	}
});

test("stride 1 updates all on the device; a stride beyond the last subgroup none", () => {
	const configuration = tinyConfiguration();
	const total = sum(configuration.subgroupNumels);
	assert.equal(elementsOf(deepOptimizerStates(configuration, { updateStride: 1 }), "device-update"), total);
	assert.equal(elementsOf(deepOptimizerStates(configuration, { updateStride: 99 }), "device-update"), 0);
});

test("stride auto is the profile's, and none where uploads alone are slower than the host", () => {
	const configuration = tinyConfiguration();
	const [profile] = profiles as [Profile];
	const own = deepOptimizerStates(configuration, { updateStride: "auto", profile });
	assert.equal(own.planner, `deep-optimizer-states k=${optimalStride(profile, 4)}`);
	const fast = withConstants(profile, { hostGBs: 1e9, downscaleNs: 1e-9 }, "measured");
	const none = deepOptimizerStates(configuration, { updateStride: "auto", profile: fast });
	assert.equal(elementsOf(none, "prefetch", "device-update"), 0);
	assert.equal(elementsOf(none, "host-update"), sum(configuration.subgroupNumels));
});

test("our schedule spreads as many visits as asked for evenly over the offloaded subgroups", () => {
	const configuration = tinyConfiguration();
	const visits = (numResident: number, numOnDevice: number): number[] => {
		const { tasks } = octavo(configuration, { numResident, numOnDevice });
		return tasks.filter((task) => task.kind === "upcast").map((task) => task.subgroup!);
	};
	assert.equal(configuration.subgroupNumels.length, 7);
	assert.deepEqual(visits(0, 2), [3, 6]);
	assert.deepEqual(visits(1, 2), [2, 5]);
	assert.deepEqual(visits(3, 3), [1, 2, 3]);
	assert.deepEqual(visits(1, 0), []);
});

test("a schedule survives JSON unchanged", () => {
	const schedule = deepOptimizerStates(tinyConfiguration({ gradientAccumulation: 2 }), { updateStride: 3 });
	assert.deepEqual(JSON.parse(JSON.stringify(schedule)), schedule);
});

test("bad configurations are refused by field", () => {
	const bad = [
		[{ gradientAccumulation: 0 }, /gradientAccumulation/],
		[{ offloadRatio: 1.5 }, /offloadRatio/],
		[{ offloadRatio: Number.NaN }, /offloadRatio/],
		[{ subgroupNumels: [] }, /subgroupNumels/],
		[{ subgroupNumels: [3, -4] }, /subgroupNumels\[1\]/],
		[{ numNodes: 3 }, /numNodes/],
		[{ bucketElements: 0 }, /bucketElements/],
		[{ microBatchSizes: 2 } as object, /received microBatchSizes; did you mean microBatchSize/],
		[
			{ model: { ...tinyConfiguration().model, numLayer: 3 } },
			/of its model but received numLayer; did you mean numLayers/,
		],
	] as const;
	for (const [changes, message] of bad) {
		const configuration = tinyConfiguration(changes);
		assert.throws(() => zeroOffload(configuration), { code: "ERR_OCTAVO_CONFIGURATION", message });
	}
	for (const updateStride of [0, 1.5, Number.NaN, "auto"] as const) {
		const plan = (): Schedule => deepOptimizerStates(tinyConfiguration(), { updateStride });
		assert.throws(plan, { code: "ERR_OCTAVO_CONFIGURATION", message: /updateStride/ });
	}
	assert.throws(() => twinflow(tinyConfiguration(), { offloadRatio: -1 }), /offloadRatio/);
	assert.throws(() => octavo(tinyConfiguration(), { numResident: 8, numOnDevice: 0 }), /numResident/);
	assert.throws(() => octavo(tinyConfiguration(), { numResident: 7, numOnDevice: 1 }), /numOnDevice/);
});
