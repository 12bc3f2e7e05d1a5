// Memory prediction: its bytes are those that the sizes of a run give, it is never below a simulation, and where it says
// that something does not fit, exactly the missing bytes make it fit.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type MemoryPrediction, peakMemory, predictMemory, profiles, simulate } from "../sdk/hardware/index.js";
import type { Schedule } from "../sdk/train/schedule/index.js";
import * as planners from "../sdk/train/schedule/index.js";
import { publishedConfiguration } from "../sdk/train/schedule/published-models.js";
import { tinyConfiguration } from "./helpers/training.js";

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const bytesOf = ({ device, host }: MemoryPrediction, place: "device" | "host", what: string): number =>
	(place === "device" ? device : host).parts.find((part) => part.what === what)?.bytes ?? 0;

test("the parts are what the sizes of a run give", () => {
	const configuration = publishedConfiguration("7B");
	const n = sum(configuration.subgroupNumels);
	const largest = Math.max(...configuration.subgroupNumels);
	const serial = predictMemory(planners.zeroOffloadAsync(configuration));
	assert.equal(serial.planner, "zero-offload-async");
	assert.equal(bytesOf(serial, "device", "parameter"), 2 * n);
	assert.equal(serial.host.peakBytes, 4 * 16 * n, "four ranks, fp32 state and gradient on the host");
	for (const what of ["master", "momentum", "variance", "gradient"]) {
		assert.equal(bytesOf(serial, "host", what), 4 * 4 * n, what);
	}
	assert.equal(serial.device.lowestBytes, 2 * n);
	assert.equal(serial.host.lowestBytes, 4 * 12 * n);

	const everything = predictMemory(planners.onDevice(configuration));
	assert.equal(everything.host.peakBytes, 0);
	assert.equal(bytesOf(everything, "device", "master"), 4 * n);
	assert.equal(everything.device.lowestBytes, 14 * n, "bf16 parameters and fp32 state");

	// The peak lies in backward, when all but the last of the kept gradients are there, and no staging yet.
	const kept = configuration.subgroupNumels.filter((_, index) => index % 2 === 1);
	const interleaved = predictMemory(planners.deepOptimizerStates(configuration, { updateStride: 2 }));
	const gradients = bytesOf(interleaved, "device", "gradient");
	assert.ok(gradients > 2 * sum(kept.slice(1)) && gradients <= 2 * sum(kept), "bf16, of the device's subgroups");
	assert.equal(
		interleaved.device.peakBytes - gradients,
		serial.device.peakBytes - bytesOf(serial, "device", "gradient"),
	);
	assert.equal(
		interleaved.host.peakBytes,
		4 * (16 * n - 4 * sum(kept)) + bytesOf(interleaved, "host", "staging-parameter"),
	);
	assert.ok(bytesOf(interleaved, "host", "staging-parameter") <= 4 * 2 * largest);
	for (const { device, host } of [serial, everything, interleaved]) {
		for (const { parts, peakBytes } of [device, host]) assert.equal(sum(parts.map((part) => part.bytes)), peakBytes);
	}
});

function schedules(): Schedule[] {
	const configuration = publishedConfiguration("7B", { gradientAccumulation: 2 });
	return [
		planners.onDevice(configuration),
		planners.zeroOffload(configuration),
		planners.twinflow(configuration, { offloadRatio: 0.7 }),
		planners.deepOptimizerStates(configuration, { updateStride: 3 }),
		planners.octavo(configuration, { numResident: 2, numOnDevice: 6, deviceSlots: 3 }),
	];
}

test("no simulation of any profile uses more than predicted, and what lasts is exact", () => {
	for (const schedule of schedules()) {
		const { device, host } = predictMemory(schedule);
		for (const profile of profiles) {
			const peak = peakMemory(simulate(schedule, profile));
			assert.ok(peak.deviceBytes <= device.peakBytes, `${schedule.planner} ${profile.name}`);
			assert.ok(peak.hostBytes <= host.peakBytes, `${schedule.planner} ${profile.name}`);
			assert.ok(device.peakBytes <= 1.2 * peak.deviceBytes, `${schedule.planner}: a bound that says something`);
		}
	}
});

test("what does not fit says how much is missing, where and why, and that much is enough", () => {
	for (const schedule of schedules()) {
		const { device, host } = predictMemory(schedule);
		for (const [place, { peakBytes, peakTask, parts }] of [["device", device] as const, ["host", host] as const]) {
			if (peakBytes === 0) continue;
			const name = `${place}Bytes`;
			const short = predictMemory(schedule, { [name]: peakBytes - 1000 });
			assert.equal(short.fits, false);
			assert.equal(short[place].shortBytes, 1000);
			assert.equal(short.problems.length, 1);
			const start = `does not fit: short by 1000 bytes on the ${place} at ${peakTask}, because `;
			assert.ok(short.problems[0]!.startsWith(start), short.problems[0]);
			assert.ok(short.problems[0]!.includes(parts[0]!.what), "the largest part is named");
			assert.ok(predictMemory(schedule, { [name]: peakBytes }).fits);
		}
	}
});

test("a configuration is judged by the least our schedule needs, and follows its residency", () => {
	const configuration = publishedConfiguration("20B");
	const a100 = profiles.find((profile) => profile.name === "a100-4x-bound")!;
	const least = predictMemory(configuration, a100);
	assert.equal(least.planner, "octavo");
	assert.equal(least.fits, true);
	const resident = predictMemory({ ...configuration, offloadRatio: 0 }, a100);
	assert.equal(resident.fits, false, "3.8 G parameters of 16 bytes on 40 GiB");
	assert.ok(resident.device.shortBytes > 16e9 && resident.host.peakBytes === 0);
});

test("bad capacities and schedules are refused", () => {
	const configuration = tinyConfiguration();
	for (const deviceBytes of [0, -1, Number.NaN]) {
		assert.throws(() => predictMemory(configuration, { deviceBytes }), {
			code: "ERR_OCTAVO_OPTION",
			message: new RegExp(`deviceBytes but received ${deviceBytes}`),
		});
	}
	const schedule = planners.zeroOffload(configuration);
	const tasks = schedule.tasks.map((task) => (task.id === "norm" ? { ...task, after: ["end-update"] } : task));
	assert.throws(() => predictMemory({ ...schedule, tasks }), { code: "ERR_OCTAVO_SCHEDULE", message: /wait for each/ });
	assert.throws(() => predictMemory({ ...configuration, numNodes: 0 }), { code: "ERR_OCTAVO_CONFIGURATION" });
});
