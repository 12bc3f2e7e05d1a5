// The simulator's laws: bytes and time are conserved, better hardware is never slower, limits are what they must be,
// and without contention it is the closed form.

import assert from "node:assert/strict";
import { test } from "node:test";
import { taskCosts } from "../sdk/hardware/costs.js";
import {
	type ConstantName,
	closedFormRates,
	constantsOf,
	memoryOverTime,
	optimalStride,
	type Profile,
	profiles,
	scheduleCost,
	searchOctavo,
	simulate,
	simulationTables,
	stridePeriod,
	withConstants,
} from "../sdk/hardware/index.js";
import {
	deepOptimizerStates,
	octavo,
	onDevice,
	type Schedule,
	twinflow,
	zeroOffload,
	zeroOffloadAsync,
} from "../sdk/train/schedule/index.js";
import { predecessors } from "../sdk/train/schedule/order.js";
import { publishedConfiguration, publishedSizes } from "../sdk/train/schedule/published-models.js";
import { tinyConfiguration } from "./helpers/training.js";

const [h100, a100] = profiles as [Profile, Profile];
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

function schedules(): Schedule[] {
	const configuration = publishedConfiguration("7B", { offloadRatio: 0.8 });
	return [
		onDevice(configuration),
		zeroOffload(configuration),
		zeroOffloadAsync(configuration),
		twinflow(configuration),
		deepOptimizerStates(configuration, { updateStride: 2 }),
		octavo(configuration, { numResident: 2, numOnDevice: 6 }),
		deepOptimizerStates({ ...configuration, gradientAccumulation: 3 }, { updateStride: 3 }),
		deepOptimizerStates({ ...configuration, numNodes: 2 }, { updateStride: 3 }),
	];
}

test("no task starts early, none is faster than alone, and no resource gives more than it has", () => {
	for (const profile of profiles) {
		for (const schedule of schedules()) {
			const { tasks, utilisation, iterationUs } = simulate(schedule, profile);
			const costs = taskCosts(schedule, constantsOf(profile));
			const before = predecessors(schedule);
			for (const [index, { task, startUs, endUs }] of tasks.entries()) {
				for (const other of before[index]!) assert.ok(tasks[other]!.endUs <= startUs + 1e-6, task.id);
				assert.ok(endUs - startUs >= costs[index]!.us * (1 - 1e-6) - 1e-6, `${task.id} took less than alone`);
			}
			for (const share of Object.values(utilisation)) assert.ok(share >= 0 && share <= 1 + 1e-9);
			// What the copy engines were busy with is what the tasks had to move.
			for (const resource of ["h2d", "d2h"] as const) {
				const bytes = sum(schedule.tasks.filter((t) => t.resource === resource).map((t) => t.bytes));
				const moved = utilisation[resource] * iterationUs * constantsOf(profile).linkGBs * 1e3;
				assert.ok(Math.abs(moved - bytes) <= 1e-6 * bytes + 1, `${resource}: ${moved} of ${bytes}`);
			}
		}
	}
});

test("bytes moved are the bytes needed", () => {
	const configuration = publishedConfiguration("7B");
	const { subgroupNumels } = configuration;
	const total = sum(subgroupNumels);
	const visiting = sum(subgroupNumels.filter((_, index) => index % 2 === 1));
	const cost = scheduleCost(simulate(deepOptimizerStates(configuration, { updateStride: 2 }), h100));
	assert.equal(cost.h2dBytes, 12 * visiting + 2 * (total - visiting), "state down, bf16 of the others");
	assert.equal(cost.d2hBytes, 12 * visiting + 4 * (total - visiting), "state back, fp32 gradients of the others");
});

const rates: readonly (readonly [ConstantName, number])[] = [
	["linkGBs", 2],
	["deviceMemoryGBs", 2],
	["deviceTflops", 2],
	["gatherGBs", 2],
	["hostGBs", 2],
	["networkGBs", 2],
	["networkReduceGBs", 2],
	["launchMs", 0.5],
	["pageableFlushNs", 0.5],
	["pageableUploadNs", 0.5],
	["downscaleNs", 0.5],
	["deviceAdamNs", 0.5],
	["hostContention", 0.5],
	["normMs", 0.5],
];

test("better hardware is never slower", () => {
	for (const profile of [h100, a100]) {
		const constants = constantsOf(profile);
		for (const schedule of schedules()) {
			const base = simulate(schedule, profile).iterationUs;
			for (const [name, factor] of rates) {
				const better = withConstants(profile, { [name]: constants[name] * factor }, "measured");
				const { iterationUs } = simulate(schedule, better);
				assert.ok(iterationUs <= base * 1.001, `${schedule.planner}: ${name} ${base} -> ${iterationUs}`);
			}
			const all = Object.fromEntries(rates.map(([name, factor]) => [name, constants[name] * factor]));
			assert.ok(simulate(schedule, withConstants(profile, all, "measured")).iterationUs < 0.75 * base);
		}
	}
});

test("with infinite bandwidth only the compute is left", () => {
	const configuration = publishedConfiguration("7B");
	const free = withConstants(
		h100,
		{
			linkGBs: 1e9,
			hostGBs: 1e9,
			gatherGBs: 1e9,
			downscaleNs: 1e-9,
			deviceAdamNs: 1e-9,
			deviceMemoryGBs: 1e9,
			launchMs: 0,
			normMs: 0,
			reduceNs: 0,
		},
		"measured",
	);
	const schedule = deepOptimizerStates(configuration, { updateStride: 2 });
	const { iterationUs } = simulate(schedule, free);
	const { deviceTflops } = constantsOf(free);
	const compute = sum(schedule.tasks.map((task) => task.flops)) / (deviceTflops * 1e6);
	assert.ok(Math.abs(iterationUs / compute - 1) < 1e-3, `${iterationUs} against ${compute}`);
});

test("as the stride grows beyond all subgroups, the interleaved update becomes the serial one", () => {
	const configuration = publishedConfiguration("7B");
	const same = withConstants(
		h100,
		{ downscaleNs: 1e-6, pageableUploadNs: 1e-6, linkGBs: 1e9, copyTrafficBytes: 0, pageableUploadBytes: 0 },
		"measured",
	);
	// Both conversions cost nothing here but the bytes that a downscale moves, which is taken out of the comparison.
	const s1 = simulate(zeroOffloadAsync(configuration), same);
	const far = simulate(deepOptimizerStates(configuration, { updateStride: 1000 }), same);
	const near = simulate(deepOptimizerStates(configuration, { updateStride: 2 }), same);
	const downscaleUs = (6 * sum(configuration.subgroupNumels)) / 1e3 / (constantsOf(same).hostGBs / 2);
	assert.ok(far.updateUs >= s1.updateUs * (1 - 1e-9) && far.updateUs <= s1.updateUs + downscaleUs);
	assert.ok(near.updateUs < 0.75 * s1.updateUs);
	const visits = far.tasks.filter(({ task }) => task.kind === "prefetch" || task.kind === "write-back");
	assert.equal(visits.length, 0);
});

/** Update time that each further stride adds, from two lengths of the same update. */
function periodUs(profile: Profile, stride: number, size: number, plan: (numels: number[]) => Schedule): number {
	const update = (numStrides: number): number =>
		simulate(plan(new Array<number>(numStrides * stride).fill(size)), profile).updateUs;
	return (update(40) - update(20)) / 20;
}

test("with contention off it is the closed form, host-bound and copy-bound", () => {
	const size = 1e8;
	const uncontended = withConstants(h100, { copyTrafficBytes: 0, downscaleNs: 1e-9, hostContention: 0 }, "measured");
	const configuration = publishedConfiguration("7B");
	for (const stride of [2, 3, 4]) {
		const slowHost = withConstants(uncontended, { hostGBs: 30 }, "measured");
		// The downscale's own traffic is not in the closed form: with the fused pass there is none.
		const host = periodUs(slowHost, stride, size, (subgroupNumels) =>
			octavo(
				{ ...configuration, subgroupNumels },
				{ numResident: 0, numOnDevice: subgroupNumels.length / stride, deviceSlots: 4, hostSlots: 4 },
			),
		);
		const hostRates = { ...closedFormRates(slowHost, 4), hostUpdate: (30e9 / 30) as number };
		const expected = stridePeriod(hostRates, stride, size);
		assert.equal(expected.periodSeconds, expected.hostSeconds);
		assert.ok(Math.abs(host / (expected.periodSeconds * 1e6) - 1) < 0.005, `k=${stride}: ${host}`);

		const slowLink = withConstants(uncontended, { hostGBs: 1e6, linkGBs: 10, deviceAdamNs: 1e-9 }, "measured");
		const copies = periodUs(slowLink, stride, size, (subgroupNumels) =>
			octavo(
				{ ...configuration, subgroupNumels },
				{ numResident: 0, numOnDevice: subgroupNumels.length / stride, deviceSlots: 4, hostSlots: 4 },
			),
		);
		const bound = stridePeriod(closedFormRates(slowLink, 4), stride, size);
		assert.equal(bound.periodSeconds, bound.deviceSeconds);
		assert.ok(Math.abs(copies / (bound.periodSeconds * 1e6) - 1) < 0.005, `k=${stride}: ${copies}`);
	}
});

test("the closed form is too fast where copies slow the host down, and its stride balances both sides", () => {
	const configuration = publishedConfiguration("20B");
	const size = sum(configuration.subgroupNumels) / configuration.subgroupNumels.length;
	const closed = stridePeriod(closedFormRates(h100, 4), 2, size).periodSeconds * 1e6;
	const simulated = periodUs(h100, 2, Math.round(size), (subgroupNumels) =>
		deepOptimizerStates({ ...configuration, subgroupNumels }, { updateStride: 2 }),
	);
	assert.ok(closed < 0.95 * simulated, `${closed} ${simulated}`);
	for (const profile of profiles) {
		const stride = optimalStride(profile, 4);
		const rates = closedFormRates(profile, 4);
		const at = stridePeriod(rates, stride, size);
		assert.ok(at.hostSeconds >= at.deviceSeconds);
		const before = stridePeriod(rates, stride - 1, size);
		assert.ok(before.hostSeconds < before.deviceSeconds);
	}
	const noHost = withConstants(h100, { hostGBs: 1e9, downscaleNs: 1e-9 }, "measured");
	assert.equal(optimalStride(noHost, 4), Number.POSITIVE_INFINITY);
});

test("a simulation is deterministic, and a 20B model takes less than 100 ms", () => {
	const schedule = deepOptimizerStates(publishedConfiguration("20B"), { updateStride: 2 });
	const first = simulate(schedule, h100);
	const times = [1, 2, 3, 4, 5].map(() => {
		const start = performance.now();
		const again = simulate(schedule, h100);
		const ms = performance.now() - start;
		assert.deepEqual(again.tasks, first.tasks);
		return ms;
	});
	assert.ok(Math.min(...times) < 100, `${times}`);
});

test("our schedule beats Deep Optimizer States on every profile and size, with its own residency and with free memory", () => {
	for (const profile of profiles) {
		for (const size of publishedSizes) {
			const configuration = publishedConfiguration(size);
			const s2 = simulate(deepOptimizerStates(configuration, { updateStride: 2 }), profile);
			const own = searchOctavo(configuration, profile, { maxResident: 0 });
			assert.ok(own.cost.iterationUs < 0.95 * s2.iterationUs, `${profile.name} ${size}`);
			assert.equal(own.choice.numResident, 0);
			if (size !== "7B") continue;
			const free = searchOctavo(configuration, profile);
			assert.ok(free.cost.iterationUs < own.cost.iterationUs);
			assert.ok(free.cost.deviceBytes <= 0.9 * profile.deviceBytes);
		}
	}
	const small = { ...h100, deviceBytes: 2e9 };
	const search = (): unknown => searchOctavo(publishedConfiguration("7B"), small);
	assert.throws(search, { code: "ERR_OCTAVO_MEMORY", message: /short by [1-9]\d* bytes on the device/ });
});

test("tables hold the timeline, memory and residency of an iteration", () => {
	const configuration = tinyConfiguration();
	const simulation = simulate(deepOptimizerStates(configuration, { updateStride: 2 }), h100);
	const { tasks, memory, residency } = simulationTables(simulation);
	for (const table of [tasks, memory, residency]) {
		assert.equal(new Set(Object.values(table).map((column) => column.length)).size, 1);
	}
	assert.equal(tasks.task_id!.length, simulation.tasks.length);
	const stays = residency.subgroup_id!.map((subgroup, i) => `${subgroup} ${residency.place![i]}`);
	assert.deepEqual(
		stays.filter((stay) => stay.startsWith("0 ")),
		["0 host"],
	);
	assert.deepEqual(
		stays.filter((stay) => stay.startsWith("1 ")),
		["1 host", "1 device", "1 host"],
	);
	const idle = sum(simulation.schedule.buffers.filter((b) => b.place === "device" && b.initial).map((b) => b.bytes));
	const moments = memoryOverTime(simulation);
	assert.ok(moments.every((moment) => moment.deviceBytes >= idle || moment === moments.at(-1)));
	assert.equal(moments.at(-1)!.deviceBytes, 0, "everything that was taken was given back");
});

test("bad profiles are refused by constant", () => {
	const schedule = zeroOffload(tinyConfiguration());
	for (const [name, value] of [
		["linkGBs", -1],
		["hostGBs", Number.NaN],
		["deviceTflops", 0],
		["normMs", Number.POSITIVE_INFINITY],
	] as const) {
		const refused = { code: "ERR_OCTAVO_PROFILE", message: new RegExp(name) };
		const bad = { ...h100, constants: { ...h100.constants, [name]: { value, source: "measured" } } } as Profile;
		assert.throws(() => simulate(schedule, bad), refused);
		assert.throws(() => withConstants(h100, { [name]: value }, "measured"), refused, "at the call that was wrong");
	}
	const wrongCalls: readonly [RegExp, ...unknown[]][] = [
		[/did you mean linkGBs.*withConstants/, h100, { linkGB: 3 }],
		[/hostGBs.*received "30".*withConstants/, h100, { hostGBs: "30" }],
		[/a profile.*received "h100"/, "h100", { hostGBs: 30 }],
		[/specification, fitted, measured for source.*"guess"/, h100, { hostGBs: 30 }, "guess"],
		[/Expected an object.*withConstants/, h100, null],
	];
	for (const [message, ...given] of wrongCalls) {
		const call = () => withConstants(...(given as Parameters<typeof withConstants>));
		assert.throws(call, { code: "ERR_OCTAVO_PROFILE", message });
	}
	assert.equal(withConstants(h100, { hostGBs: 30 }).constants.hostGBs.source, "measured");
	const { linkGBs: _, ...rest } = h100.constants;
	const missing = { ...h100, constants: rest as Profile["constants"] };
	assert.throws(() => simulate(schedule, missing), { code: "ERR_OCTAVO_PROFILE", message: /linkGBs/ });
	const extra = { ...h100, constants: { ...h100.constants, linkGB: { value: 1, source: "measured" as const } } };
	assert.throws(() => simulate(schedule, extra), { code: "ERR_OCTAVO_PROFILE", message: /did you mean linkGBs/ });
});
