// A simulated iteration as tables of plain columns, by the names a measured trace uses: the task timeline, memory over
// time, and where each subgroup's state was.

import { type Content, parseContent } from "../train/schedule/task.js";
import { memoryOverTime } from "./memory.js";
import type { Simulation } from "./simulate.js";

/** Columns by name; all of one table have the same length. */
export type Columns = Readonly<Record<string, readonly (string | number | null)[]>>;

/** The tables of one iteration. */
export interface SimulationTables {
	/** One row a task: `task_id`, `kind`, `phase`, `stream`, `resource`, `start_us`, `end_us`, `size_bytes`, … */
	readonly tasks: Columns;
	/** One row a change: `time_us`, `device_bytes`, `host_bytes`, of one rank. */
	readonly memory: Columns;
	/** One row a stay: `subgroup_id`, `place`, `from_us`, `to_us`: where the newest optimizer state could be read. */
	readonly residency: Columns;
}

/** Tables of a simulation. A task of no subgroup or layer has null there. */
export function simulationTables(simulation: Simulation): SimulationTables {
	const { tasks } = simulation;
	const moments = memoryOverTime(simulation);
	const stays = residency(simulation);
	return {
		tasks: {
			task_id: tasks.map(({ task }) => task.id),
			kind: tasks.map(({ task }) => task.kind),
			phase: tasks.map(({ task }) => task.phase),
			micro_step_index: tasks.map(({ task }) => task.microStep),
			layer_index: tasks.map(({ task }) => task.layer ?? null),
			subgroup_id: tasks.map(({ task }) => task.subgroup ?? null),
			stream: tasks.map(({ task }) => task.stream),
			resource: tasks.map(({ task }) => task.resource),
			start_us: tasks.map(({ startUs }) => startUs),
			end_us: tasks.map(({ endUs }) => endUs),
			num_elements: tasks.map(({ task }) => task.elements),
			size_bytes: tasks.map(({ task }) => task.bytes),
		},
		memory: {
			time_us: moments.map((moment) => moment.timeUs),
			device_bytes: moments.map((moment) => moment.deviceBytes),
			host_bytes: moments.map((moment) => moment.hostBytes),
		},
		residency: {
			subgroup_id: stays.map((stay) => stay.subgroup),
			place: stays.map((stay) => stay.place),
			from_us: stays.map((stay) => stay.fromUs),
			to_us: stays.map((stay) => stay.toUs),
		},
	};
}

interface Stay {
	readonly subgroup: number;
	readonly place: "device" | "host";
	readonly fromUs: number;
	readonly toUs: number;
}

/** Where the newest master copy of each subgroup is: a visit lasts from its prefetch's end to its write-back's end. */
function residency({ schedule, tasks, iterationUs }: Simulation): Stay[] {
	const placeOf = new Map(schedule.buffers.map((buffer) => [buffer.id, buffer.place]));
	const isMaster = (content: Content): boolean => content.quantity === "master";
	const stays = new Map<number, { place: "device" | "host"; fromUs: number }>();
	for (const { initial, place } of schedule.buffers) {
		const content = initial === undefined ? undefined : parseContent(initial);
		if (content && isMaster(content)) stays.set(content.subgroup, { place, fromUs: 0 });
	}
	const ended: Stay[] = [];
	for (const { task, endUs } of [...tasks].sort((a, b) => a.endUs - b.endUs)) {
		for (const write of task.writes) {
			const content = parseContent(write.content);
			const place = placeOf.get(write.buffer);
			const stay = content && stays.get(content.subgroup);
			if (!content || !isMaster(content) || !place || !stay || stay.place === place) continue;
			ended.push({ subgroup: content.subgroup, place: stay.place, fromUs: stay.fromUs, toUs: endUs });
			stays.set(content.subgroup, { place, fromUs: endUs });
		}
	}
	for (const [subgroup, stay] of stays) ended.push({ subgroup, ...stay, toUs: iterationUs });
	return ended.sort((a, b) => a.subgroup - b.subgroup || a.fromUs - b.fromUs);
}
