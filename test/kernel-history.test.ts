// History over raw ZeroMQ: kept across sessions, by several kernels at once, whole after a kill, and bounded.

import assert from "node:assert/strict";
import fs, {
	appendFileSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmdirSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { HistoryStore } from "../kernel/handlers/history-store.js";
import { KernelClient } from "./helpers/kernel-client.js";

const data = mkdtempSync(join(tmpdir(), "octavo-history-"));
const folder = join(data, "octavo", "history");
const env = { JUPYTER_DATA_DIR: data, OCTAVO_HISTORY: "" };

after(() => rmSync(data, { recursive: true, force: true }));

const ask = async (kernel: KernelClient, content: Record<string, unknown>) =>
	(await kernel.ask("history_request", { output: false, raw: true, ...content })).history;

test("sessions are kept: tail, range by number and by distance, search with unique, outputs", async () => {
	const first = await KernelClient.start({ env });
	assert.deepEqual(readdirSync(data), [], "nothing is written before the first input");
	await first.execute("const one = 1; one");
	await first.execute("'same'");
	await first.execute("'unseen'", { store_history: false });
	await first.stop();
	const second = await KernelClient.start({ env });
	try {
		await second.execute("'same'");
		await second.execute("[2,\n3]");
		assert.deepEqual(await ask(second, { hist_access_type: "tail", n: 3 }), [
			[1, 2, "'same'"],
			[2, 1, "'same'"],
			[2, 2, "[2,\n3]"],
		]);
		assert.deepEqual(await ask(second, { hist_access_type: "tail", n: 0 }), []);
		const range = { hist_access_type: "range", start: 1, stop: 2 };
		assert.deepEqual(await ask(second, { ...range, session: 1 }), [[1, 1, "const one = 1; one"]]);
		assert.deepEqual(await ask(second, { ...range, session: -1, output: true }), [[1, 1, ["const one = 1; one", "1"]]]);
		assert.deepEqual(await ask(second, { ...range, session: 0, start: 2, stop: 9, output: true }), [
			[2, 2, ["[2,\n3]", "[ 2, 3 ]"]],
		]);
		assert.deepEqual(await ask(second, { ...range, session: -2 }), []);
		const search = { hist_access_type: "search", pattern: "'s?me'", n: 10 };
		assert.deepEqual(await ask(second, search), [
			[1, 2, "'same'"],
			[2, 1, "'same'"],
		]);
		assert.deepEqual(await ask(second, { ...search, unique: true }), [[2, 1, "'same'"]]);
		assert.deepEqual(await ask(second, { ...search, n: 1 }), [[2, 1, "'same'"]]);
		assert.deepEqual(await ask(second, { ...search, pattern: "[2*" }), [[2, 2, "[2,\n3]"]]);
		assert.deepEqual(await ask(second, { ...search, pattern: "const" }), []);
	} finally {
		await second.stop();
	}
});

test("two kernels at once have sessions of their own, and a killed one leaves what it had written", async () => {
	const kernels = await Promise.all([KernelClient.start({ env }), KernelClient.start({ env })]);
	try {
		await Promise.all(kernels.map((kernel, index) => kernel.execute(`'kernel ${index}'`)));
		await kernels[0]!.until(() => readdirSync(folder).length === 4);
		kernels[0]!.process.kill("SIGKILL");
		const all = await ask(kernels[1]!, { hist_access_type: "search", pattern: "'kernel *'", n: 10 });
		const sessions = all.map(([session]: [number]) => session).sort();
		assert.deepEqual(sessions, [3, 4]);
		assert.deepEqual(all.map(([, , code]: [number, number, string]) => code).sort(), ["'kernel 0'", "'kernel 1'"]);
	} finally {
		await Promise.all(kernels.map((kernel) => kernel.stop()));
	}
});

test("half a line and foreign text are passed over", async () => {
	const store = new HistoryStore(folder);
	const [last] = store.earlier().slice(-1);
	appendFileSync(join(folder, `${String(last).padStart(8, "0")}.jsonl`), 'null\n{"line":"x"}\n[1]\n{"line":7,"co');
	assert.equal(store.read(last!).length, 1);
});

test("the oldest sessions make way when there are too many bytes", async () => {
	const own = join(data, "bounded");
	const store = new HistoryStore(own);
	store.add(1, "first");
	await store.close();
	for (let number = 2; number < 8; number++) {
		writeFileSync(join(own, `0000000${number}.jsonl`), `${JSON.stringify({ line: 1, code: "x".repeat(4 << 20) })}\n`);
	}
	const next = new HistoryStore(own);
	next.add(1, "next");
	await next.close();
	assert.equal(next.session, 8);
	assert.deepEqual(next.earlier(), [5, 6, 7]);
	assert.equal(next.read(8)[0]!.code, "next");
});

test("the oldest sessions make way when there are more than 500", async () => {
	const own = join(data, "many");
	mkdirSync(own);
	for (let number = 1; number <= 503; number++)
		writeFileSync(join(own, `${String(number).padStart(8, "0")}.jsonl`), `{"line":1,"code":"${number}"}\n`);
	const store = new HistoryStore(own);
	store.add(1, "next");
	await store.close();
	const earlier = store.earlier();
	assert.deepEqual([store.session, earlier.length, earlier[0], earlier.at(-1)], [504, 499, 5, 503]);
});

test("where a session cannot begin history is kept in memory, and no other session is written to", async () => {
	const own = join(data, "full");
	mkdirSync(own);
	const earlier = '{"line":1,"code":"earlier"}\n';
	for (const number of [1, 2]) writeFileSync(join(own, `0000000${number}.jsonl`), earlier);
	const store = new HistoryStore(own);
	let notes = "";
	const { write } = process.stderr;
	process.stderr.write = (text: string | Uint8Array) => {
		notes += text;
		return true;
	};
	const really = fs.writeFileSync;
	fs.writeFileSync = () => {
		throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
	};
	syncBuiltinESMExports();
	try {
		store.add(1, "mine");
	} finally {
		process.stderr.write = write;
		fs.writeFileSync = really;
		syncBuiltinESMExports();
	}
	store.addOutput(1, "2");
	await store.close();
	assert.equal(notes, "octavo: history is kept in memory only: ENOSPC: no space left on device\n");
	assert.deepEqual(store.current, [{ session: 3, line: 1, code: "mine", output: "2" }]);
	assert.deepEqual(readdirSync(own), ["00000001.jsonl", "00000002.jsonl"]);
	assert.equal(readFileSync(join(own, "00000001.jsonl"), "utf8"), earlier);
	// Nor does it fail where the folder itself cannot be.
	assert.deepEqual(new HistoryStore(join(own, "00000001.jsonl", "below")).earlier(), []);
});

test("a line that was cut off by a full disk costs none but itself", async () => {
	const own = join(data, "torn");
	const path = join(own, "00000001.jsonl");
	const store = new HistoryStore(own);
	store.add(1, "first");
	await store.close();
	const before = readFileSync(path);
	rmSync(path);
	mkdirSync(path);
	store.add(2, "lost");
	await store.close();
	rmdirSync(path);
	writeFileSync(path, `${before}{"line":2,"co`);
	store.add(3, "third");
	store.add(4, "fourth");
	await store.close();
	const read = new HistoryStore(own).read(1).map(({ line, code }) => [line, code]);
	assert.deepEqual(read, [
		[1, "first"],
		[3, "third"],
		[4, "fourth"],
	]);
});

test("what is kept in memory is bounded, and the newest input is always there", () => {
	const store = new HistoryStore(undefined);
	const big = "x".repeat(3 << 20);
	for (let line = 1; line <= 20; line++) {
		store.add(line, `${line}${big}`);
		store.addOutput(line, big);
		assert.equal(store.current.at(-1)!.line, line);
		assert.ok(store.current.length <= 2, `${store.current.length} entries of 6 MiB`);
	}
	for (let line = 21; line <= 25_000; line++) store.add(line, "");
	assert.ok(store.current.length <= 10_000, `${store.current.length} entries`);
	assert.equal(store.current.at(-1)!.line, 25_000);
	assert.ok(store.current.length >= 5000);
});
