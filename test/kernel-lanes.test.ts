// Buffers on their way between the kernel's two processes: each in memory of its own, by mapped memory or without it, and
// what they took goes back to the system.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import fs, { fstatSync, ftruncateSync, readFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { LaneReader, LaneWriter, openLane } from "../kernel/cell/buffer-lane.js";
import { kernelSpec } from "../kernel/kernelspec.js";
import { loadLaneAddon } from "../native/lane.js";
import { KernelClient } from "./helpers/kernel-client.js";

const mebibyte = 1024 * 1024;
const skip = loadLaneAddon() === undefined && "octavo_lane.node has not been built here";

/** A writer and a reader of one new lane, and the bytes of memory that it takes. */
function lane(): { writer: LaneWriter; reader: LaneReader; descriptor: number; held(): number; close(): void } {
	const descriptor = openLane();
	// A descriptor of its own, as in another process.
	const other = fs.openSync(`/proc/self/fd/${descriptor}`, "r+");
	const [writer, reader] = [new LaneWriter(descriptor, false), new LaneReader(other)];
	const close = () => [writer, reader].forEach((end) => void end.close());
	return { writer, reader, descriptor, held: () => fstatSync(descriptor).blocks * 512, close };
}

/** What went through system calls while something ran, in bytes. */
function bySystemCalls(run: () => void): number {
	const { readSync, writeSync } = fs;
	let sum = 0;
	const counting =
		<T extends (...given: never[]) => number>(call: T) =>
		(...given: Parameters<T>) => {
			const count = call(...given);
			sum += count;
			return count;
		};
	Object.assign(fs, { readSync: counting(readSync), writeSync: counting(writeSync) });
	syncBuiltinESMExports();
	try {
		run();
	} finally {
		Object.assign(fs, { readSync, writeSync });
		syncBuiltinESMExports();
	}
	return sum;
}

test("large buffers go through mapped memory once a lane has been written to, and are the same", { skip }, () => {
	const { writer, reader, close } = lane();
	const sizes = [3 * mebibyte + 1, 0, 100, 2 * mebibyte];
	for (const round of [1, 2, 3]) {
		const buffers = sizes.map((size) => randomBytes(size));
		let came: Buffer[] = [];
		const counted = bySystemCalls(() => {
			came = reader.read(writer.write(buffers));
		});
		assert.deepEqual(came, buffers);
		if (round > 1) assert.ok(counted < 1000, `${counted} bytes by system calls`);
	}
	const view = new Float64Array(new SharedArrayBuffer(mebibyte), 8, 1000).fill(1.5);
	assert.deepEqual(new Float64Array(reader.read(writer.write([view]))[0]!.buffer), new Float64Array(1000).fill(1.5));
	close();
});

test("a buffer stays as it came, and can be written to without touching another", () => {
	const { writer, reader, close } = lane();
	const sent = Array.from({ length: 4 }, (_, i) => Buffer.alloc(2 * mebibyte, i + 1));
	const came = sent.map((buffer) => reader.read(writer.write([buffer]))[0]!);
	came[1]!.fill(99);
	for (const i of [0, 2, 3]) assert.ok(came[i]!.equals(sent[i]!), `buffer ${i}`);
	assert.equal(came[0]!.byteOffset, 0);
	close();
});

test("messages that are still unread are not written over", () => {
	const { writer, reader, close } = lane();
	const sent = Array.from({ length: 5 }, () => randomBytes(mebibyte));
	const ranges = sent.map((buffer) => writer.write([buffer]));
	writer.rest();
	assert.deepEqual(
		ranges.map((range) => reader.read(range)[0]),
		sent,
	);
	close();
});

test("a lane's memory goes back when it rests, and the lane goes on", { skip }, () => {
	const { writer, reader, held, close } = lane();
	for (let round = 0; round < 2; round++) {
		const sent = randomBytes(20 * mebibyte);
		assert.ok(reader.read(writer.write([sent]))[0]!.equals(sent));
		assert.ok(held() >= 20 * mebibyte);
		writer.rest();
		assert.ok(held() < mebibyte, `${held()} bytes`);
	}
	close();
});

test("a lane cannot be cut off under the process that maps it", { skip }, () => {
	const { descriptor, close } = lane();
	assert.throws(() => ftruncateSync(descriptor, 0), { code: "EPERM" });
	close();
});

test("a range that a lane does not have is refused with a code", () => {
	const { reader, writer, close } = lane();
	writer.write([Buffer.from("x")]);
	for (const place of [
		[2 ** 45, 10],
		[-5, 10],
		[4096, 2 ** 52],
		[4096, -1],
		[Number.NaN, 300_000],
	] as [number, number][]) {
		assert.throws(() => reader.read({ message: 1, at: [place] }), { code: "ERR_OCTAVO_LANE" }, String(place));
	}
	close();
});

test("what is no lane is refused with a code", { skip }, () => {
	const addon = loadLaneAddon()!;
	const refused = { code: "ERR_OCTAVO_LANE" };
	for (const call of [
		() => addon.map(-1),
		() => addon.map(fs.openSync("/dev/null", "r+")),
		() => addon.open(-1),
		() => addon.open(Number.NaN),
		() => addon.freePages(-1, 0),
		() => addon.put({} as never, 0, new Uint8Array(1)),
		() => addon.get(addon.map(addon.open(10)), 0, "x" as never),
	])
		assert.throws(call, refused);
	const map = addon.map(addon.open(100));
	for (const position of [-1, 96, 2 ** 53, 0.5, Number.NaN]) {
		assert.equal(addon.put(map, position, new Uint8Array(5)), false, String(position));
	}
	assert.equal(addon.put(map, 95, new Uint8Array(5)), true);
	addon.unmap(map);
	assert.equal(addon.get(map, 0, new Uint8Array(1)), false);
});

test("without the module buffers go by a plain file", () => {
	const script = `
		import { createRequire, Module } from "node:module";
		const load = Module._extensions[".node"];
		Module._extensions[".node"] = (module, path) => {
			if (path.endsWith("octavo_lane.node")) throw new Error("not built");
			return load(module, path);
		};
		const { LaneReader, LaneWriter, openLane } = await import(${JSON.stringify(import.meta.resolve("../kernel/cell/buffer-lane.js"))});
		const descriptor = openLane();
		const [writer, reader] = [new LaneWriter(descriptor, false), new LaneReader(descriptor)];
		for (const size of [3, 3_000_000, 5]) {
			const [came] = reader.read(writer.write([Buffer.alloc(size, size % 251)]));
			if (!came.equals(Buffer.alloc(size, size % 251))) throw new Error("changed");
			writer.rest();
		}
		console.log("fine");`;
	const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
	assert.equal(stdout, "fine\n", stderr);
});

const residentMiB = (pid: number): number =>
	Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024;

test("what large buffers took in both processes goes back when none come any more", { skip }, async () => {
	const kernel = await KernelClient.start({ env: { ...kernelSpec().env } });
	try {
		const { iopub } = await kernel.execute(
			"comms.onOpen('echo', (comm) => comm.onMessage(({ buffers }) => comm.send(1, { buffers }))); process.pid",
		);
		const worker = Number(iopub.find(({ type }) => type === "execute_result")!.content.data["text/plain"]);
		// Each by itself: what one gives back must not hide what the other holds.
		const resident = () => [kernel.process.pid!, worker].map(residentMiB);
		// Both have collected what their start left.
		await sleep(2500);
		const before = resident();
		kernel.send("comm_open", { comm_id: "c", target_name: "echo", data: {} });
		const buffer = Buffer.alloc(32 * mebibyte, 1);
		for (let round = 0; round < 3; round++) {
			const id = kernel.send("comm_msg", { comm_id: "c", data: 1 }, "shell", {}, [buffer]);
			const isBack = ({ parentId, type }: { parentId: string; type: string }) => parentId === id && type === "comm_msg";
			await kernel.until(() => kernel.messages.some(isBack));
		}
		const grown = () => Math.max(...resident().map((now, i) => now - before[i]!));
		assert.ok(grown() > 30, `${before} MiB became ${resident()}`);
		// Some seconds; on a busy machine they are long. What is not given back stays for good.
		for (const end = Date.now() + 60_000; grown() > 16 && Date.now() < end; ) await sleep(100);
		assert.ok(grown() <= 16, `${before} MiB before, ${resident()} after`);
	} finally {
		await kernel.stop();
	}
});
