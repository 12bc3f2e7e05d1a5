// History over raw ZeroMQ: kept across sessions, by several kernels at once, whole after a kill, and bounded.

import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
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
