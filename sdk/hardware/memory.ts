// Memory over a simulated iteration: when each buffer is live, and so how much each place holds at every moment.

import { ranksPerNode } from "../train/schedule/configuration.js";
import type { BufferPlan } from "../train/schedule/task.js";
import type { Simulation } from "./simulate.js";

/** Bytes in use from one moment until the next row. */
export interface MemoryMoment {
	/** Moment from which it holds, in microseconds. */
	readonly timeUs: number;
	/** Bytes on the device of one rank. */
	readonly deviceBytes: number;
	/** Bytes of host memory of one rank. */
	readonly hostBytes: number;
}

/** When one buffer is live. */
export interface BufferLife {
	/** The buffer. */
	readonly buffer: BufferPlan;
	/** When it is taken, in microseconds. */
	readonly fromUs: number;
	/** When it is given back, in microseconds. */
	readonly toUs: number;
}

/** Lives of all buffers: whole iterations for those with a content before or after it, else first to last use. */
export function bufferLives({ schedule, tasks, iterationUs }: Simulation): BufferLife[] {
	const uses = new Map<string, { fromUs: number; toUs: number }>();
	for (const { task, startUs, endUs } of tasks) {
		for (const { buffer } of [...task.reads, ...task.writes]) {
			const use = uses.get(buffer) ?? { fromUs: startUs, toUs: endUs };
			uses.set(buffer, { fromUs: Math.min(use.fromUs, startUs), toUs: Math.max(use.toUs, endUs) });
		}
	}
	return schedule.buffers.map((buffer) => {
		const lasting = buffer.initial !== undefined || buffer.final !== undefined;
		const use = uses.get(buffer.id) ?? { fromUs: 0, toUs: 0 };
		return { buffer, ...(lasting ? { fromUs: 0, toUs: iterationUs } : use) };
	});
}

/** Bytes in use over time, one row a change. */
export function memoryOverTime(simulation: Simulation): MemoryMoment[] {
	const changes = bufferLives(simulation).flatMap(({ buffer, fromUs, toUs }) => [
		{ timeUs: fromUs, place: buffer.place, bytes: buffer.bytes },
		{ timeUs: toUs, place: buffer.place, bytes: -buffer.bytes },
	]);
	changes.sort((a, b) => a.timeUs - b.timeUs);
	const moments: MemoryMoment[] = [];
	let [deviceBytes, hostBytes] = [0, 0];
	for (const [index, { timeUs, place, bytes }] of changes.entries()) {
		if (place === "device") deviceBytes += bytes;
		else hostBytes += bytes;
		if (changes[index + 1]?.timeUs !== timeUs) moments.push({ timeUs, deviceBytes, hostBytes });
	}
	return moments;
}

/** Highest use of one rank's device and of one node's host memory, in bytes. */
export function peakMemory(simulation: Simulation): { deviceBytes: number; hostBytes: number } {
	const moments = memoryOverTime(simulation);
	const peak = (bytes: (moment: MemoryMoment) => number): number =>
		moments.reduce((highest, moment) => Math.max(highest, bytes(moment)), 0);
	return {
		deviceBytes: peak((moment) => moment.deviceBytes),
		hostBytes: peak((moment) => moment.hostBytes) * ranksPerNode(simulation.schedule.configuration),
	};
}
