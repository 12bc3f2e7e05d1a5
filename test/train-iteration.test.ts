// An iteration as a record and as a walk: tables that say what was simulated, files that give the same back, and a
// stepper that stops where it is told.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { profileByName, simulate, simulateIteration } from "../sdk/hardware/index.js";
import { IterationTrace } from "../sdk/trace/iteration-trace.js";
import {
	checkSchedule,
	deepOptimizerStates,
	loadSchedule,
	publishedConfiguration,
	saveSchedule,
	scheduleFromArrow,
	scheduleToArrow,
	twinflow,
} from "../sdk/train/schedule/index.js";
import { tinyConfiguration } from "./helpers/training.js";

const profile = profileByName("h100-4x");
const dos = deepOptimizerStates(tinyConfiguration({ gradientAccumulation: 2 }), { updateStride: 3 });
const begin = () => simulateIteration(dos, profile);

async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
	const folder = await mkdtemp(join(tmpdir(), "octavo-"));
	try {
		await use(folder);
	} finally {
		await rm(folder, { recursive: true });
	}
}

test("a trace holds the simulation, row by row, and survives its files", async () => {
	const { trace, simulation } = begin();
	const tasks = trace.columns("tasks");
	assert.deepEqual(
		tasks.task_id,
		simulation.tasks.map(({ task }) => task.id),
	);
	assert.deepEqual(
		tasks.end_us,
		simulation.tasks.map(({ endUs }) => endUs),
	);
	const layers = tasks.layer_index as (number | null)[];
	assert.ok(layers.includes(null) && layers.includes(-1), "tasks of no layer have null, the embedding -1");
	const phases = trace.columns("phases").duration_us as number[];
	const total = phases.reduce((sum, us) => sum + us, 0);
	assert.ok(Math.abs(total - simulation.iterationUs) < 1e-6 * total);
	await inFolder(async (folder) => {
		const files = await trace.save(join(folder, "a", "run.arrow"));
		assert.equal(files.length, 5);
		const loaded = await IterationTrace.load(files[0]!);
		assert.deepEqual(loaded.metadata, trace.metadata);
		for (const name of ["tasks", "memory", "residency", "utilisation", "phases"] as const) {
			assert.deepEqual(loaded.columns(name), trace.columns(name), name);
		}
		await assert.rejects(IterationTrace.load(join(folder, "none.arrow")), { code: "ERR_OCTAVO_TRACE" });
		await assert.rejects(IterationTrace.load(files[1]!), { code: "ERR_OCTAVO_TRACE" });
	});
	await assert.rejects(trace.save("run.csv"), { code: "ERR_OCTAVO_TRACE" });
});

test("columns that do not fit are refused by table, column and row", () => {
	const { trace } = begin();
	const columns = Object.fromEntries(
		(["tasks", "memory", "residency", "utilisation", "phases"] as const).map((name) => [name, trace.columns(name)]),
	);
	const make = (memory: object) =>
		IterationTrace.from({ ...columns, memory: { ...columns.memory, ...memory } } as never, trace.metadata);
	assert.equal(make({}).table("memory").numRows, trace.table("memory").numRows);
	const times = [...(columns.memory!.time_us as number[])];
	times[2] = Number.NaN;
	assert.throws(() => make({ time_us: times }), { code: "ERR_OCTAVO_TRACE", message: /time_us of memory, row 2/ });
	assert.throws(() => make({ time_us: [1] }), /rows/);
	assert.throws(() => make({ colour: times }), /colour/);
	assert.throws(() => IterationTrace.from(columns as never, { ...trace.metadata, planner: 3 } as never), /planner/);
	assert.throws(() => trace.table("steps" as never), { code: "ERR_OCTAVO_TRACE" });
});

test("a schedule survives Arrow and its files unchanged", async () => {
	for (const schedule of [dos, twinflow(tinyConfiguration({ offloadRatio: 0.5 }))]) {
		assert.deepEqual(scheduleFromArrow(scheduleToArrow(schedule)), schedule);
		await inFolder(async (folder) => {
			const [path] = await saveSchedule(schedule, join(folder, "plan.arrow"));
			const loaded = await loadSchedule(path!);
			assert.deepEqual(loaded, schedule);
			checkSchedule(loaded);
		});
	}
	const broken = { ...dos, tasks: dos.tasks.map((task) => ({ ...task, bytes: Number.NaN })) };
	assert.throws(() => scheduleToArrow(broken), { code: "ERR_OCTAVO_TRACE", message: /size_bytes of tasks, row 0/ });
});

test("steps visit every task once, in the order of their starts, with the memory in use then", async () => {
	const iteration = begin();
	const seen: string[] = [];
	let last = 0;
	const peak = Math.max(...(iteration.trace.columns("memory").device_bytes as number[]));
	let highest = 0;
	for await (const step of iteration.steps()) {
		assert.ok(step.startUs >= last && step.index === seen.length);
		for (const id of step.running) assert.ok(seen.includes(id), `${id} runs before it began`);
		last = step.startUs;
		highest = Math.max(highest, step.deviceBytes);
		seen.push(step.task.id);
	}
	assert.deepEqual([...seen].sort(), dos.tasks.map(({ id }) => id).sort());
	assert.equal(highest, peak);
	assert.throws(() => iteration.stepSync(), { code: "ERR_OCTAVO_END" });
});

test("breakpoints stop at phases, subgroups, resources and memory", () => {
	const iteration = begin();
	const phases: string[] = [];
	const stop = iteration.breakOn("phase");
	for (let result = iteration.runSync(); result.reason !== "end"; result = iteration.runSync()) {
		assert.equal(result.breakpoint, stop);
		phases.push(`${result.step!.task.phase} ${result.step!.task.microStep}`);
	}
	assert.deepEqual(new Set(phases), new Set(["forward 0", "backward 0", "forward 1", "backward 1", "update 0"]));
	stop.remove();
	iteration.rewind({ tasks: 0 });
	iteration.breakOn("subgroup", ({ task }) => task.subgroup === 2 && task.kind === "device-update");
	assert.equal(iteration.runSync().step!.task.id, "device-update[2]");
	iteration.breakOn("resource", ({ task }) => task.resource === "d2h");
	assert.equal(iteration.runSync().step!.task.resource, "d2h");
	const peak = Math.max(...(iteration.trace.columns("memory").device_bytes as number[]));
	iteration.rewind({ tasks: 0 });
	const fresh = begin();
	fresh.breakOn("memory", ({ deviceBytes }) => deviceBytes === peak);
	const { step } = fresh.runSync();
	assert.equal(step!.deviceBytes, peak);
	const walked = begin();
	const [off, on] = [walked.breakOn("task"), walked.breakOn("task", ({ index }) => index === 4)];
	off.enabled = false;
	assert.equal(walked.runSync().breakpoint, on);
	assert.deepEqual([off.hits, on.hits, walked.numTaken], [0, 1, 5]);
	off.enabled = true;
	assert.equal(walked.runSync().breakpoint, off);
	assert.throws(() => fresh.breakOn("colour" as never), { code: "ERR_OCTAVO_BREAKPOINT" });
});

test("it rewinds to a count, a task and a moment, and refuses others", () => {
	const iteration = begin();
	iteration.runSync();
	iteration.rewind({ before: "device-update[2]" });
	const step = iteration.stepSync();
	assert.equal(step.task.id, "device-update[2]");
	iteration.rewind({ timeUs: step.startUs });
	assert.ok(iteration.numTaken <= step.index);
	assert.ok(iteration.stepSync().startUs >= step.startUs);
	iteration.rewind({ tasks: 3 });
	assert.equal(iteration.runSync({ maxTasks: 2 }).reason, "maxTasks");
	assert.equal(iteration.numTaken, 5);
	for (const to of [{ tasks: -1 }, { tasks: 1e9 }, { before: "nobody" }, { timeUs: Number.NaN }, { task: 1 }, {}]) {
		assert.throws(() => iteration.rewind(to as never), { code: "ERR_OCTAVO_OPTION" });
	}
	assert.throws(() => iteration.runSync({ maxTasks: 0 }), { code: "ERR_OCTAVO_OPTION" });
	iteration.close();
	assert.throws(() => iteration.stepSync(), { code: "ERR_OCTAVO_CLOSED" });
});

test("a bare configuration is played with our schedule", () => {
	const configuration = publishedConfiguration("7B");
	const { simulation } = simulateIteration(configuration, profile);
	assert.equal(simulation.schedule.planner, "octavo");
	const s2 = simulate(deepOptimizerStates(configuration, { updateStride: 2 }), profile);
	assert.ok(simulation.iterationUs < s2.iterationUs);
	assert.throws(() => publishedConfiguration("9B" as never), { code: "ERR_OCTAVO_CONFIGURATION" });
});
