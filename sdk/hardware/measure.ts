// What JavaScript can find out about the machine it runs on: cores, memory, and the speed of four plain loops on one
// thread. The only file of this folder with a clock; nothing here reads it but the caller of `measure`.

import { availableParallelism, cpus, totalmem } from "node:os";
import { checkOptions, integer } from "../options.js";
import type { ConstantName, ProfileConstant } from "./profile.js";

/** How to measure. */
export interface MeasureOptions {
	/** Time for each of the four measurements, from 1 to 10 000 ms; three rounds are taken in any case. Default 300. */
	readonly milliseconds?: number;
	/** Size of each of two arrays, from 1 to 1024 MiB; well above the last-level cache. Default 128. */
	readonly arrayMiB?: number;
}

/** One measured loop. Median of its rounds, the slowest and the fastest beside it. */
export interface Measurement {
	/** What it is. */
	readonly name: "read" | "copy" | "hostAdam" | "downscale";
	/** Median over the rounds. */
	readonly value: number;
	/** Its unit. */
	readonly unit: "GB/s" | "ns/parameter";
	/** Least of the rounds. */
	readonly lowest: number;
	/** Most of the rounds. */
	readonly highest: number;
	/** How often it was measured. */
	readonly numRounds: number;
	/** What ran and how bytes were counted. */
	readonly source: string;
}

/** What was found out: part of a profile, and where each number is from. */
export interface MeasuredHost {
	/** Processor, cores and run time, for captions. */
	readonly description: string;
	/** Logical cores that this process may use. */
	readonly numCores: number;
	/** Host memory in bytes: what is installed, or what this process is held to where that is less. */
	readonly hostBytes: number;
	/** Constants that a profile can take over, of one thread in JavaScript: a lower bound of what native code reaches. */
	readonly constants: Readonly<Record<Extract<ConstantName, "hostGBs" | "downscaleNs">, ProfileConstant>>;
	/** What was measured, one loop each. */
	readonly measurements: readonly Measurement[];
}

/**
 * Measures the host this runs on, in about 1.5 seconds. There is nothing about a device or its link in it: those
 * constants stay as the profile has them.
 *
 * @example
 * ```ts
 * import { hardware } from "octavo";
 * const { constants, hostBytes } = hardware.measure({ milliseconds: 20, arrayMiB: 8 });
 * const node = hardware.profileByName("a100-4x-bound");
 * const mine = { ...node, name: "mine", hostBytes, constants: { ...node.constants, ...constants } };
 * console.log(mine.constants.hostGBs.source);   // measured
 * ```
 * @throws {OctavoError} ERR_OCTAVO_OPTION
 */
export function measure(options: MeasureOptions = {}): MeasuredHost {
	const { milliseconds, arrayMiB } = checkOptions("measure()", options, {
		milliseconds: integer(1, 10_000, 300),
		arrayMiB: integer(1, 1024, 128),
	});
	const measurements = loopsOver(arrayMiB * 2 ** 20).map(({ name, unit, source, perRound, run }) => {
		const values = timed(run, milliseconds).map((ns) => (unit === "GB/s" ? perRound / ns : ns / perRound));
		values.sort((a, b) => a - b);
		const [lowest, value, highest] = [values[0]!, values[values.length >> 1]!, values.at(-1)!];
		return {
			name,
			value,
			unit,
			lowest,
			highest,
			numRounds: values.length,
			source: `in JavaScript, one thread: ${source}`,
		};
	});
	const constantFrom = (name: Measurement["name"]): ProfileConstant => ({
		value: measurements.find((measurement) => measurement.name === name)!.value,
		source: "measured",
	});
	const held = process.constrainedMemory() || Number.POSITIVE_INFINITY;
	const numCores = availableParallelism();
	return {
		description: `${cpus()[0]?.model.trim() || "unknown processor"}, ${numCores} cores, Node ${process.versions.node}`,
		numCores,
		hostBytes: Math.min(totalmem(), held),
		constants: { hostGBs: constantFrom("copy"), downscaleNs: constantFrom("downscale") },
		measurements,
	};
}

/** Nanoseconds of each round, the first left out: it compiles the loop and touches the memory. */
function timed(run: () => void, milliseconds: number): number[] {
	run();
	const rounds: number[] = [];
	const end = performance.now() + milliseconds;
	while (rounds.length < 3 || performance.now() < end) {
		const start = performance.now();
		run();
		// A clock of coarse steps may show no time at all.
		rounds.push(Math.max(1, (performance.now() - start) * 1e6));
	}
	return rounds;
}

interface Loop extends Pick<Measurement, "name" | "unit" | "source"> {
	/** Bytes or parameters of one round. */
	readonly perRound: number;
	readonly run: () => void;
}

function loopsOver(bytes: number): Loop[] {
	const [one, two] = [new ArrayBuffer(bytes), new ArrayBuffer(bytes)];
	const numel = bytes / 8;
	const master = new Float32Array(one, 0, numel).fill(1);
	const momentum = new Float32Array(one, bytes / 2, numel).fill(0.01);
	const variance = new Float32Array(two, 0, numel).fill(0.01);
	const gradient = new Float32Array(two, bytes / 2, numel).fill(0.01);
	const [from, to] = [new Uint8Array(one), new Uint8Array(two)];
	const [doubles, fp32, bf16] = [new Float64Array(one), new Uint32Array(one, 0, numel), new Uint16Array(two, 0, numel)];
	return [
		{
			name: "hostAdam",
			unit: "ns/parameter",
			source: "plain fp32 Adam over master, momentum, variance and gradient (28 bytes a parameter)",
			perRound: numel,
			run: () => adam(master, momentum, variance, gradient),
		},
		{
			name: "read",
			unit: "GB/s",
			source: "sum of 64-bit numbers, bytes read",
			perRound: bytes,
			// Kept, so that the loop cannot be left out.
			run: () => gradient.fill(sum(doubles), 0, 1),
		},
		{
			name: "downscale",
			unit: "ns/parameter",
			source: "fp32 to bf16, rounded to nearest even",
			perRound: numel,
			run: () => downscale(fp32, bf16),
		},
		{
			name: "copy",
			unit: "GB/s",
			source: "copy of a typed array, bytes read and bytes written",
			perRound: 2 * bytes,
			run: () => to.set(from),
		},
	];
}

function adam(master: Float32Array, momentum: Float32Array, variance: Float32Array, gradient: Float32Array): void {
	for (let i = 0; i < master.length; i++) {
		const g = gradient[i]!;
		const m = 0.9 * momentum[i]! + 0.1 * g;
		const v = 0.999 * variance[i]! + 0.001 * g * g;
		momentum[i] = m;
		variance[i] = v;
		master[i] = master[i]! - (1e-4 * m) / (Math.sqrt(v) + 1e-8);
	}
}

/** Four sums, as one would wait for its own last addition. */
function sum(values: Float64Array): number {
	let [a, b, c, d] = [0, 0, 0, 0];
	for (let i = 0; i < values.length; i += 4) {
		a += values[i]!;
		b += values[i + 1]!;
		c += values[i + 2]!;
		d += values[i + 3]!;
	}
	return a + b + c + d;
}

function downscale(fp32: Uint32Array, bf16: Uint16Array): void {
	for (let i = 0; i < fp32.length; i++) {
		const bits = fp32[i]!;
		bf16[i] = (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
	}
}
