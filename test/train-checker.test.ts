// The checker against an oracle that runs schedules in random orders: whatever can go wrong in some order is refused,
// and sound schedules pass.

import assert from "node:assert/strict";
import { test } from "node:test";
import { checkSchedule, findProblems, type ProblemKind } from "../sdk/train/schedule/checker.js";
import { deepOptimizerStates } from "../sdk/train/schedule/deep-optimizer-states.js";
import { octavo } from "../sdk/train/schedule/octavo.js";
import { onDevice } from "../sdk/train/schedule/on-device.js";
import { publishedConfiguration } from "../sdk/train/schedule/published-models.js";
import type { Schedule, Task } from "../sdk/train/schedule/task.js";
import { twinflow } from "../sdk/train/schedule/twinflow.js";
import { zeroOffload } from "../sdk/train/schedule/zero-offload.js";
import { zeroOffloadAsync } from "../sdk/train/schedule/zero-offload-async.js";
import { runOnce, seeded } from "./helpers/schedule-runner.js";
import { tinyConfiguration } from "./helpers/training.js";

function soundSchedules(): Schedule[] {
	const configurations = [
		tinyConfiguration(),
		tinyConfiguration({ dataParallel: 1, subgroupNumels: tinyConfiguration().subgroupNumels }),
		tinyConfiguration({ numNodes: 2, gradientAccumulation: 3, offloadRatio: 0.6 }),
		tinyConfiguration({ bucketElements: 9000 }),
		tinyConfiguration({ dataParallel: 2, tensorParallel: 2, subgroupNumels: tinyConfiguration().subgroupNumels }),
	];
	return configurations.flatMap((configuration) => [
		onDevice(configuration),
		zeroOffload(configuration),
		zeroOffloadAsync(configuration),
		twinflow(configuration, { offloadRatio: 0.5 }),
		...[1, 2, 3, 5, 50].map((updateStride) => deepOptimizerStates(configuration, { updateStride })),
		...[0, 2, 5].map((numOnDevice) => octavo(configuration, { numResident: 1, numOnDevice })),
		octavo(configuration, { numResident: 0, numOnDevice: 4, deviceSlots: 3, hostSlots: 1 }),
	]);
}

const change = (schedule: Schedule, edit: (task: Task, index: number) => Task | undefined): Schedule => ({
	...schedule,
	tasks: schedule.tasks.flatMap((task, index) => edit(task, index) ?? []),
});

function withoutTask(schedule: Schedule, id: string): Schedule {
	return change(schedule, (task) =>
		task.id === id ? undefined : { ...task, after: task.after.filter((other) => other !== id) },
	);
}

function withoutEdge(schedule: Schedule, id: string, before: string): Schedule {
	return change(schedule, (task) =>
		task.id === id ? { ...task, after: task.after.filter((other) => other !== before) } : task,
	);
}

const kindsOf = (schedule: Schedule): Set<ProblemKind> =>
	new Set(findProblems(schedule).map((problem) => problem.kind));

test("every planner's schedules are accepted and run right in any order", () => {
	const random = seeded(1);
	for (const schedule of soundSchedules()) {
		assert.deepEqual(findProblems(schedule), [], schedule.planner);
		for (let run = 0; run < 5; run++) assert.equal(runOnce(schedule, random), undefined, schedule.planner);
	}
	checkSchedule(deepOptimizerStates(publishedConfiguration("20B"), { updateStride: 2 }));
});

function mutate(schedule: Schedule, random: () => number): { what: string; mutant: Schedule } {
	const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
	const task = pick(schedule.tasks);
	switch (Math.floor(random() * 4)) {
		case 0: {
			const before = pick(task.after) ?? "";
			return { what: `${task.id} no longer waits for ${before}`, mutant: withoutEdge(schedule, task.id, before) };
		}
		case 1:
			return { what: `without ${task.id}`, mutant: withoutTask(schedule, task.id) };
		case 2: {
			const one = pick([...task.reads, ...task.writes])?.buffer ?? "";
			const bytes = schedule.buffers.find((buffer) => buffer.id === one)?.bytes;
			const two = pick(schedule.buffers.filter((buffer) => buffer.bytes === bytes))?.id ?? one;
			const swap = <T extends { buffer: string }>(list: readonly T[]): T[] =>
				list.map((use) => ({ ...use, buffer: use.buffer === one ? two : use.buffer === two ? one : use.buffer }));
			const mutant = change(schedule, (other) =>
				other.id === task.id ? { ...other, reads: swap(other.reads), writes: swap(other.writes) } : other,
			);
			return { what: `${task.id} with ${one} and ${two} swapped`, mutant };
		}
		default: {
			const stream = `${task.stream}'`;
			const mutant = change(schedule, (other) => (other.id === task.id ? { ...other, stream } : other));
			return { what: `${task.id} on a stream of its own`, mutant };
		}
	}
}

test("every mutant that goes wrong in some order is refused", () => {
	const random = seeded(2);
	const bases = soundSchedules();
	const counts = { harmful: 0, refused: 0, accepted: 0 };
	for (let round = 0; round < 1200; round++) {
		const base = bases[round % bases.length]!;
		const { what, mutant } = mutate(base, random);
		const problems = findProblems(mutant);
		let harm: string | undefined;
		for (let run = 0; run < 6 && harm === undefined; run++) harm = runOnce(mutant, random);
		if (harm !== undefined) {
			counts.harmful++;
			assert.ok(problems.length > 0, `${base.planner}: ${what}: ${harm}`);
		}
		if (problems.length > 0) counts.refused++;
		else counts.accepted++;
	}
	assert.ok(counts.harmful > 300, JSON.stringify(counts));
	assert.ok(counts.accepted > 100, "the checker does not simply refuse everything");
});

test("dropping an edge that others imply, a wait or a launch is harmless and passes", () => {
	let dropped = 0;
	for (const schedule of soundSchedules()) {
		const position = new Map(schedule.tasks.map((task, index) => [task.id, index]));
		for (const task of schedule.tasks) {
			// Implied: another predecessor on the same stream as this one comes later in the list.
			const implied = task.after.find((id) => {
				const before = schedule.tasks[position.get(id)!]!;
				return task.after.some((other) => {
					const later = schedule.tasks[position.get(other)!]!;
					return later.stream === before.stream && position.get(other)! > position.get(id)!;
				});
			});
			if (implied === undefined || dropped > 200) continue;
			dropped++;
			assert.deepEqual(findProblems(withoutEdge(schedule, task.id, implied)), [], `${task.id} and ${implied}`);
		}
	}
	assert.ok(dropped > 50, `${dropped}`);
	const schedule = zeroOffloadAsync(tinyConfiguration());
	assert.deepEqual(findProblems(withoutTask(schedule, "end-update")), []);
});

test("each fault has its name, two tasks and a way to mend it", () => {
	const base = deepOptimizerStates(tinyConfiguration(), { updateStride: 2 });
	const cases: [ProblemKind, Schedule, RegExp][] = [
		["unordered", withoutEdge(base, "write-back[1].master", "device-update[1]"), /write-back\[1\]\.master/],
		["wrong-content", withoutTask(base, "prefetch[3].variance"), /device-update\[3\] expects variance:3:old/],
		["read-before-write", withoutTask(base, "prefetch[1].momentum"), /before anything is written/],
		[
			"lost-write-back",
			withoutTask(base, "write-back[5].momentum"),
			/host\.momentum\[5\].*copy what device-update\[5\]/,
		],
		["never-updated", withoutTask(base, "host-update[2]"), /subgroup 2 is never updated/],
		["incomplete", withoutTask(base, "backward[0.3.0]"), /layer 3 has/],
		[
			"cycle",
			change(base, (t) => (t.id === "norm" ? { ...t, after: [...t.after, "end-update"] } : t)),
			/wait for each/,
		],
		["malformed", change(base, (t) => (t.id === "norm" ? { ...t, after: ["nobody"] } : t)), /nobody/],
	];
	for (const [kind, schedule, message] of cases) {
		const problems = findProblems(schedule);
		assert.ok(
			problems.some((problem) => problem.kind === kind && message.test(`${problem.message}; ${problem.mend}`)),
			`${kind}: ${problems.map((problem) => problem.message).join("\n")}`,
		);
		assert.throws(() => checkSchedule(schedule), { code: "ERR_OCTAVO_SCHEDULE" });
	}
	const twice: Schedule = {
		...base,
		tasks: base.tasks.flatMap((task) =>
			task.id === "host-update[2]" ? [task, { ...task, id: "again", after: [task.id] }] : [task],
		),
	};
	assert.ok(kindsOf(twice).has("updated-twice"));
	const claims = change(base, (task) =>
		task.id === "downscale[0]" ? { ...task, reads: [{ buffer: "host.momentum[0]", content: "momentum:0:new" }] } : task,
	);
	assert.ok(kindsOf(claims).has("wrong-content"), "bf16 parameters made from something else");
});

test("memory is bounded at every moment", () => {
	const schedule = deepOptimizerStates(tinyConfiguration(), { updateStride: 2 });
	const parameters = schedule.buffers.filter((buffer) => buffer.place === "device" && buffer.initial !== undefined);
	const idle = parameters.reduce((sum, buffer) => sum + buffer.bytes, 0);
	assert.deepEqual(findProblems(schedule, { deviceBytes: 1e9, hostBytes: 1e9 }), []);
	const [problem] = findProblems(schedule, { deviceBytes: idle });
	assert.equal(problem?.kind, "memory");
	assert.match(problem!.message, /does not fit: short by [1-9]\d* bytes on the device at \S+, because/);
	const short = Number(/short by (\d+)/.exec(problem!.message)![1]);
	assert.deepEqual(findProblems(schedule, { deviceBytes: idle + short }), [], "exactly what was missing is enough");
	assert.equal(findProblems(schedule, { deviceBytes: idle + short - 1 }).length, 1);
});
