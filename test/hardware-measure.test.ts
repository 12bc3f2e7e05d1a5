// Measuring this machine: numbers that memory and arithmetic allow, units and sources on each, a shape that does not
// depend on the machine, and constants that a profile takes over.

import assert from "node:assert/strict";
import { availableParallelism, totalmem } from "node:os";
import { test } from "node:test";
import { measure, profileByName, simulate } from "../sdk/hardware/index.js";
import { zeroOffloadAsync } from "../sdk/train/schedule/index.js";
import { tinyConfiguration } from "./helpers/training.js";

const units = { hostAdam: "ns/parameter", read: "GB/s", downscale: "ns/parameter", copy: "GB/s" };

test("measurements are plausible, have units and sources, and take less than 3 seconds", () => {
	const start = process.cpuUsage();
	const host = measure();
	const { user, system } = process.cpuUsage(start);
	assert.ok(user + system < 3e6, `${user + system} us, of this process alone, whatever else runs`);
	assert.deepEqual(Object.fromEntries(host.measurements.map(({ name, unit }) => [name, unit])), units);
	for (const { name, value, lowest, highest, numRounds, unit, source } of host.measurements) {
		assert.ok(lowest <= value && value <= highest && numRounds >= 3, name);
		// From a small shared machine to more than one thread of any processor reaches.
		const [least, most] = unit === "GB/s" ? [0.2, 500] : [0.05, 200];
		assert.ok(value > least && value < most, `${name}: ${value} ${unit}`);
		assert.match(source, /^in JavaScript, one thread: /);
	}
	const adam = host.measurements.find(({ name }) => name === "hostAdam")!;
	assert.ok(28 / adam.value < 500, "Adam reads and writes 28 bytes a parameter, no faster than memory");
	assert.equal(host.numCores, availableParallelism());
	assert.ok(host.hostBytes > 2 ** 27 && host.hostBytes <= totalmem());
	assert.match(host.description, new RegExp(`${host.numCores} cores, Node ${process.versions.node}`));
});

test("the shape is the same each time, and less work is less time", () => {
	const quick = { milliseconds: 1, arrayMiB: 1 };
	const shape = (): unknown =>
		measure(quick).measurements.map(({ name, unit, source, ...numbers }) => [name, unit, source, Object.keys(numbers)]);
	assert.deepEqual(shape(), shape());
	const rounds = (milliseconds: number): number => measure({ milliseconds, arrayMiB: 1 }).measurements[3]!.numRounds;
	assert.ok(rounds(60) > rounds(1), "time buys rounds");
});

test("a profile takes the constants over", () => {
	const node = profileByName("a100-4x-bound");
	const { constants, hostBytes, measurements } = measure({ milliseconds: 1, arrayMiB: 1 });
	assert.deepEqual(Object.keys(constants), ["hostGBs", "downscaleNs"]);
	assert.deepEqual(constants.hostGBs, { value: measurements[3]!.value, source: "measured" });
	const mine = { ...node, name: "mine", hostBytes, constants: { ...node.constants, ...constants } };
	const schedule = zeroOffloadAsync(tinyConfiguration());
	const ratio = simulate(schedule, mine).updateUs / simulate(schedule, node).updateUs;
	assert.equal(ratio > 1, constants.hostGBs.value < node.constants.hostGBs.value, "the simulation uses them");
});

test("bad options are refused", () => {
	assert.throws(() => measure({ milliseconds: 0 }), { code: "ERR_OCTAVO_OPTION", message: /milliseconds/ });
	assert.throws(() => measure({ arrayMiB: 1.5 }), { code: "ERR_OCTAVO_OPTION", message: /arrayMiB/ });
	assert.throws(() => measure({ arrayMB: 1 } as never), { code: "ERR_OCTAVO_OPTION", message: /arrayMiB/ });
});
