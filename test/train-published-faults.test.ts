// The seven faults of the published code, each on its own in an otherwise sound schedule: the checker refuses it and
// names the tasks it is between. Where a published planner repeats the fault, the checker refuses that too.

import assert from "node:assert/strict";
import { test } from "node:test";
import { findProblems, type Problem, type ProblemKind } from "../sdk/train/schedule/checker.js";
import { deepOptimizerStates } from "../sdk/train/schedule/deep-optimizer-states.js";
import { publishedV2 } from "../sdk/train/schedule/published/v2.js";
import { publishedV3 } from "../sdk/train/schedule/published/v3.js";
import type { BufferPlan, Schedule, Task } from "../sdk/train/schedule/task.js";
import { tinyConfiguration } from "./helpers/training.js";

// Six subgroups at a stride of 2, so that n mod k is 0; the device updates 1, 3 and 5.
const configuration = tinyConfiguration({ subgroupNumels: tinyConfiguration().subgroupNumels.slice(0, 6) });
const sound = deepOptimizerStates(configuration, { updateStride: 2 });

function changeTask(schedule: Schedule, id: string, edit: (task: Task) => Task): Schedule {
	assert.ok(
		schedule.tasks.some((task) => task.id === id),
		`${id} is in the schedule`,
	);
	return { ...schedule, tasks: schedule.tasks.map((task) => (task.id === id ? edit(task) : task)) };
}

function changeBuffer(schedule: Schedule, id: string, edit: (buffer: BufferPlan) => BufferPlan): Schedule {
	assert.ok(
		schedule.buffers.some((buffer) => buffer.id === id),
		`${id} is in the schedule`,
	);
	return { ...schedule, buffers: schedule.buffers.map((buffer) => (buffer.id === id ? edit(buffer) : buffer)) };
}

const withoutContent = ({ id, place, bytes }: BufferPlan): BufferPlan => ({ id, place, bytes });

function withoutTasks(schedule: Schedule, pattern: RegExp): Schedule {
	const tasks = schedule.tasks.filter((task) => !pattern.test(task.id));
	assert.ok(tasks.length < schedule.tasks.length, `${pattern} is in the schedule`);
	return { ...schedule, tasks: tasks.map((t) => ({ ...t, after: t.after.filter((id) => !pattern.test(id)) })) };
}

function refused(schedule: Schedule, kind: ProblemKind, tasks: readonly string[], message: RegExp): Problem {
	const problems = findProblems(schedule);
	const found = problems.find(
		(problem) =>
			problem.kind === kind && tasks.every((id) => problem.tasks.includes(id)) && message.test(problem.message),
	);
	assert.ok(found, `${kind} ${tasks}: ${problems.map((p) => `${p.kind} ${p.tasks}: ${p.message}`).join("\n")}`);
	assert.ok(found.mend.length > 0);
	return found;
}

test("the schedule that the faults are put into is sound", () => {
	assert.deepEqual(findProblems(sound), []);
});

test("1: fp16 bits or raw fp32 bytes in bf16 parameters", () => {
	const raw = changeTask(sound, "upload[0]", (task) => ({
		...task,
		reads: [{ buffer: "host.master[0]", content: "master:0:new" }],
	}));
	refused(raw, "wrong-content", ["upload[0]"], /making parameter:0:new needs parameter:0:new, which it does not read/);
	const half = changeTask(sound, "downscale[0]", (task) => ({
		...task,
		writes: task.writes.map((access) => ({ ...access, content: "half:0:new" })),
	}));
	refused(half, "wrong-content", ["downscale[0]"], /downscale cannot make half:0:new/);
	refused(half, "wrong-content", ["upload[0]", "downscale[0]"], /expects parameter:0:new .* holds half:0:new/);
	refused(publishedV2(configuration, 2), "wrong-content", ["upload[0]"], /host\.master\[0\], which holds master:0:new/);
});

test("2: with n mod k = 0 the last device update is never written back", () => {
	const lost = withoutTasks(sound, /^write-back\[5\]/);
	for (const quantity of ["master", "momentum", "variance"]) {
		const home = new RegExp(`host\\.${quantity}\\[5\\] holds ${quantity}:5:old .* not ${quantity}:5:new`);
		const { mend } = refused(lost, "lost-write-back", ["device-update[5]"], home);
		assert.equal(mend, `copy what device-update[5] made back to host.${quantity}[5]`);
	}
	for (const planned of [publishedV2(configuration, 2), publishedV3(configuration, 2)]) {
		refused(planned, "lost-write-back", ["device-update[5]"], /host\.momentum\[5\]/);
	}
	const uneven = publishedV3(tinyConfiguration(), 2);
	assert.ok(!findProblems(uneven).some((p) => p.kind === "lost-write-back" && /momentum\[5\]/.test(p.message)));
});

test("3: no order between a device update and its write-back", () => {
	const arrived = sound.tasks.find((task) => task.id === "device-update[3]")!.after;
	for (const quantity of ["master", "momentum", "variance"]) {
		const race = changeTask(sound, `write-back[3].${quantity}`, (task) => ({ ...task, after: arrived }));
		refused(race, "unordered", ["device-update[3]", `write-back[3].${quantity}`], /nothing orders them/);
	}
	refused(publishedV3(configuration, 2), "unordered", ["device-update[3]", "write-back[3].momentum"], /nothing orders/);
});

test("4: momentum and variance are not initialised before their first use", () => {
	for (const quantity of ["momentum", "variance"]) {
		const fresh = changeBuffer(sound, `host.${quantity}[1]`, withoutContent);
		const message = new RegExp(`reads ${quantity}:1:old from host\\.${quantity}\\[1\\] before anything is written`);
		refused(fresh, "read-before-write", [`prefetch[1].${quantity}`], message);
		const onHost = changeBuffer(sound, `host.${quantity}[0]`, withoutContent);
		refused(onHost, "read-before-write", ["host-update[0]"], /before anything is written there/);
	}
});

test("5: a device step drops the state of resident subgroups", () => {
	const mixed = deepOptimizerStates({ ...configuration, offloadRatio: 0.7 }, { updateStride: 2 });
	assert.deepEqual(findProblems(mixed), []);
	const dropped = changeTask(mixed, "device-update[3]", (task) => ({
		...task,
		writes: [...task.writes, { buffer: "device.momentum[5]", content: "nothing" }],
	}));
	const tasks = ["device-update[5]", "device-update[3]"];
	refused(dropped, "wrong-content", tasks, /expects momentum:5:old .* holds nothing since device-update\[3\]/);
	const after = changeTask(mixed, "cast[5]", (task) => ({
		...task,
		writes: [...task.writes, { buffer: "device.variance[5]", content: "nothing" }],
	}));
	refused(after, "lost-write-back", ["device-update[5]", "cast[5]"], /device\.variance\[5\] holds nothing/);
});

test("6: the stride ignores which subgroups are resident", () => {
	// The plan takes all for offloaded, but the state of subgroup 5 lives on the device.
	let ignorant = sound;
	for (const quantity of ["master", "momentum", "variance"] as const) {
		const home = sound.buffers.find((buffer) => buffer.id === `host.${quantity}[5]`)!;
		ignorant = changeBuffer(ignorant, home.id, withoutContent);
		const resident: BufferPlan = { ...home, id: `device.${quantity}[5]`, place: "device" };
		ignorant = { ...ignorant, buffers: [...ignorant.buffers, resident] };
	}
	for (const quantity of ["master", "momentum", "variance"]) {
		const from = new RegExp(`reads ${quantity}:5:old from host\\.${quantity}\\[5\\] before anything is written`);
		refused(ignorant, "read-before-write", [`prefetch[5].${quantity}`], from);
		refused(ignorant, "lost-write-back", [], new RegExp(`device\\.${quantity}\\[5\\] holds ${quantity}:5:old`));
	}
	// Ours counts offloaded subgroups only: no resident one is copied either way.
	const mixed = deepOptimizerStates({ ...configuration, offloadRatio: 0.5 }, { updateStride: 2 });
	const copied = mixed.tasks.filter((task) => task.kind === "prefetch" || task.kind === "write-back");
	assert.deepEqual([...new Set(copied.map((task) => task.subgroup))], [1]);
});

test("7: trailing copies are not waited for", () => {
	// What comes next reads the parameters when the iteration's end is known.
	const next: Task = {
		...sound.tasks.find((task) => task.id === "gather-forward[0.0]")!,
		id: "next-gather",
		phase: "update",
		stream: "next",
		reads: configuration.subgroupNumels.map((_, subgroup) => ({
			buffer: `device.parameter[${subgroup}]`,
			content: `parameter:${subgroup}:new`,
		})),
		after: ["end-update"],
	};
	const followed: Schedule = { ...sound, tasks: [...sound.tasks, next] };
	assert.deepEqual(findProblems(followed), []);
	const forgotten = changeTask(followed, "end-update", (task) => ({
		...task,
		after: task.after.filter((id) => id !== "upload[4]"),
	}));
	refused(forgotten, "unordered", ["upload[4]", "next-gather"], /device\.parameter\[4\].*nothing orders them/);
	// Inside the iteration: a pinned buffer is filled again while its copy may still run.
	const reused = changeTask(sound, "downscale[2]", (task) => ({
		...task,
		after: task.after.filter((id) => id !== "upload[0]"),
	}));
	refused(reused, "unordered", ["upload[0]", "downscale[2]"], /host\.staging-parameter\[0\]/);
	refused(publishedV3(configuration, 2), "unordered", ["upload[2]", "downscale[4]"], /staging-parameter/);
});
