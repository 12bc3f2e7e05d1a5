// What a task costs on a profile: how long it takes alone, and how much of each shared resource it then uses. All
// contention comes from these demands; a task's time alone already counts the other ranks of its node, as every rank
// runs the same schedule at the same moment.

import { parameterNumels, ranksPerNode } from "../train/schedule/configuration.js";
import type { Schedule, Task } from "../train/schedule/task.js";
import { type Constants, hostBytesPerUs } from "./profile.js";

/** Resources that tasks share at one moment, in the order of `TaskCost.demands`. */
export const sharedResources = ["device", "h2d", "d2h", "host-memory"] as const;

/** Cost of one task. */
export interface TaskCost {
	/** Time alone, in microseconds. */
	readonly us: number;
	/** Share of each shared resource in use while it runs at full speed; above 1 it is slowed down even when alone. */
	readonly demands: readonly [device: number, h2d: number, d2h: number, hostMemory: number];
}

/** Share of a rank's bf16 gradient bytes that are still in a cache of this size when its tensor is converted. */
function cachedShare({ configuration }: Schedule, cacheBytes: number): number {
	const { dataParallel, tensorParallel, model } = configuration;
	const sizes = parameterNumels(model).map((numel) => (2 * numel) / (dataParallel * tensorParallel));
	const total = sizes.reduce((sum, size) => sum + size, 0);
	return sizes.reduce((sum, size) => sum + Math.min(size, cacheBytes), 0) / total;
}

const nothing: TaskCost = { us: 0, demands: [0, 0, 0, 0] };

/** Costs of every task of a schedule, in its order. */
export function taskCosts(schedule: Schedule, constants: Constants): TaskCost[] {
	const model = new CostModel(schedule, constants);
	return schedule.tasks.map((task) => model.cost(task));
}

class CostModel {
	readonly #hostRate: number;
	readonly #numRanks: number;
	readonly #flushNs: number;

	constructor(
		private readonly schedule: Schedule,
		private readonly constants: Constants,
	) {
		this.#numRanks = ranksPerNode(schedule.configuration);
		this.#hostRate = hostBytesPerUs(constants, this.#numRanks);
		const saving = constants.flushCacheSaving * cachedShare(schedule, constants.flushCacheMB * 1e6);
		this.#flushNs = constants.pageableFlushNs * (1 - saving);
	}

	cost(task: Task): TaskCost {
		const { constants } = this;
		switch (task.kind) {
			case "wait":
				return nothing;
			case "launch": {
				const ratio = task.phase === "forward" ? 1 : constants.backwardLaunchRatio;
				return this.#alone(constants.launchMs * 1e3 * ratio);
			}
			case "norm":
				return this.#alone(constants.normMs * 1e3);
			case "release":
				return this.#alone(this.#releaseMs(task) * 1e3);
			case "gather":
				return this.#alone(this.#collectiveUs(task));
			case "reduce":
				return this.#alone(this.#collectiveUs(task) + (task.elements * constants.reduceNs) / 1e3);
			case "forward":
			case "backward":
				return this.#device(
					task.flops / (constants.deviceTflops * 1e6) + task.bytes / (constants.deviceMemoryGBs * 1e3),
				);
			case "device-update":
				return this.#device((task.elements * constants.deviceAdamNs) / 1e3);
			case "accumulate":
			case "keep-gradient":
			case "cast":
			case "upcast":
				return this.#device(task.bytes / (constants.deviceMemoryGBs * 1e3));
			case "pageable-flush":
				return this.#hostCore(task, this.#flushNs, constants.pageableFlushBytes);
			case "pageable-upload":
				return this.#hostCore(task, constants.pageableUploadNs, constants.pageableUploadBytes);
			case "downscale":
				return this.#hostCore(task, constants.downscaleNs, task.bytes / task.elements);
			case "unscale":
			case "host-update":
			case "fused-update":
				return { us: task.bytes / this.#hostRate, demands: [0, 0, 0, 1] };
			case "prefetch":
			case "write-back":
			case "upload":
			case "gradient-flush":
			case "fetch-gradient":
			case "store-gradient":
				return this.#copy(task);
		}
	}

	#alone(us: number): TaskCost {
		return { us, demands: [0, 0, 0, 0] };
	}

	#device(us: number): TaskCost {
		return { us, demands: [1, 0, 0, 0] };
	}

	#hostCore(task: Task, nsPerElement: number, bytesPerElement: number): TaskCost {
		const us = (task.elements * nsPerElement) / 1e3;
		return { us, demands: [0, 0, 0, (bytesPerElement * task.elements) / us / this.#hostRate] };
	}

	#copy(task: Task): TaskCost {
		if (task.resource === "device") return this.#device(task.bytes / (this.constants.deviceMemoryGBs * 1e3));
		const rate = this.constants.linkGBs * 1e3;
		const traffic = (rate * this.constants.copyTrafficBytes) / this.#hostRate;
		const demands = task.resource === "h2d" ? ([0, 1, 0, traffic] as const) : ([0, 0, 1, traffic] as const);
		return { us: task.bytes / rate, demands };
	}

	#collectiveUs(task: Task): number {
		const { constants } = this;
		const { numNodes, dataParallel } = this.schedule.configuration;
		const fetch = task.kind === "gather" && task.phase === "forward" ? constants.fetchMs * 1e3 : 0;
		if (dataParallel === 1) return fetch;
		if (numNodes === 1) return fetch + task.bytes / (constants.gatherGBs * 1e3);
		const rate = task.kind === "gather" ? constants.networkGBs : constants.networkReduceGBs;
		return task.bytes / (rate * 1e3) + constants.hopUs * (dataParallel - 1);
	}

	#releaseMs(task: Task): number {
		const { constants } = this;
		const everyPhase = constants.releaseMs + constants.releaseRankMs * (this.#numRanks - 1);
		const interleaved = this.schedule.planner.startsWith("published-v");
		if (task.phase !== "update" || !interleaved) return everyPhase;
		const elements = this.schedule.configuration.subgroupNumels.reduce((sum, numel) => sum + numel, 0);
		return everyPhase + constants.interleaveReleaseMs + (constants.interleaveReleaseMsPerGelement * elements) / 1e9;
	}
}
