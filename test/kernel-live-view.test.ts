// Live views over raw ZeroMQ: drawn once, replaced while cells and buttons step, and still a picture without a kernel.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { hardware, loadModel, policies, schedules } from "../sdk/index.js";
import { type Exchange, KernelClient, type Received } from "./helpers/kernel-client.js";

let kernel: KernelClient;

before(async () => {
	kernel = await KernelClient.start();
	const { reply } = await kernel.execute(
		"import { hardware, loadModel, policies, schedules } from 'octavo';\n" +
			"const iteration = hardware.simulateIteration(schedules.zeroOffloadAsync(schedules.publishedConfiguration('7B')), hardware.profileByName('h100-4x'));\n" +
			"const model = await loadModel();\n" +
			"const session = model.session({ blockSize: 8, policy: policies.pagedEviction({ budget: 32 }), seed: 7, history: 64 });\n" +
			"await session.prefill(Array.from({ length: 40 }, (_, i) => 1 + (i % 100)));",
	);
	assert.equal(reply.status, "ok", reply.evalue);
});

after(() => kernel.stop());

/** Outputs of one view, wherever they came. */
const drawn = (displayId: string): Received[] =>
	kernel.messages.filter(({ content }) => content.transient?.display_id === displayId);
const textOf = (displayId: string): string => drawn(displayId).at(-1)!.content.data["text/plain"];

/** Shows a view by the last expression of a cell; gives its id. */
async function show(code: string): Promise<string> {
	const exchange: Exchange = await kernel.execute(code);
	assert.equal(exchange.reply.status, "ok", exchange.reply.evalue);
	const outputs = exchange.iopub.filter(({ type }) => /^(display_data|execute_result)$/.test(type));
	assert.deepEqual(
		outputs.map(({ type }) => type),
		["display_data"],
	);
	return outputs[0]!.content.transient.display_id;
}

/** Opens the comm that a page's buttons use. */
function connect(view: string): { id: string; press(action: unknown): string } {
	const comm_id = randomUUID();
	kernel.send("comm_open", { comm_id, target_name: "octavo.view", data: { view } });
	return { id: comm_id, press: (action) => kernel.send("comm_msg", { comm_id, data: { action } }) };
}

async function follows(displayId: string, pattern: RegExp): Promise<void> {
	await kernel.until(() => pattern.test(textOf(displayId))).catch(() => assert.match(textOf(displayId), pattern));
}

test("an iteration's view is displayed with an id, and replaced when a cell steps", async () => {
	const view = await show("const timeline = iteration.view(); timeline");
	const { data } = drawn(view)[0]!.content;
	assert.match(data["text/plain"], /device: 0 of \d+ tasks[\s\S]*0 of \d+ tasks taken/);
	assert.match(data["text/html"], /data-action="step"[\s\S]*<svg /);
	assert.match(data["text/html"], /class="octavo-controls" hidden/);
	await kernel.execute("iteration.stepSync(); iteration.stepSync();");
	await follows(view, /\n2 of \d+ tasks taken; at [\d.]+ ms \S+ begins/);
	assert.equal(drawn(view).at(-1)!.type, "update_display_data");
});

test("buttons step, run to a breakpoint and go back; what fails is said in the view", async () => {
	const view = await show("iteration.rewind({ tasks: 0 }); iteration.view()");
	const page = connect(view);
	page.press("step");
	await follows(view, /\n1 of/);
	await kernel.execute("iteration.breakOn('phase', ({ task }) => task.phase === 'backward')");
	page.press("run");
	await follows(view, /ms \S*backward\S* begins/);
	const taken = Number(/\n(\d+) of/.exec(textOf(view))![1]);
	page.press("back");
	await follows(view, new RegExp(`\\n${taken - 1} of`));
	page.press("run");
	page.press("run");
	await follows(view, /\n(\d+) of \1 tasks taken/);
	page.press("step");
	await follows(view, /Expected a task to be left/);
	page.press("sudo");
	page.press({ deep: 1 });
	page.press("back");
	await follows(view, /beside|begins/);
});

test("a loop that steps is drawn a few times a second, and its end always", async () => {
	const view = await show("iteration.rewind({ tasks: 0 }); iteration.view()");
	const before = drawn(view).length;
	const start = performance.now();
	await kernel.execute(
		"for await (const step of iteration.steps({ maxTasks: 100 })) await new Promise((done) => setTimeout(done, 5));",
	);
	await follows(view, /\n100 of/);
	const count = drawn(view).length - before;
	// Every 120 ms: at least twice in the 500 ms that the loop takes, and no more often however slow the machine is.
	const most = 3 + (performance.now() - start) / 120;
	assert.ok(count >= 2 && count <= most, `${count} drawings of 100 steps, at most ${most}`);
});

test("a session's view follows steps, evictions and rewinds, also by buttons while a cell awaits", async () => {
	const view = await show("const map = session.view({ layers: [1, 3] }); map");
	assert.match(textOf(view), /layer 1: 32 tokens in 4 blocks[\s\S]*layer 3: [\s\S]*40 tokens: /);
	await kernel.execute("for (let i = 0; i < 10; i++) await session.step();");
	await follows(view, /\n50 tokens: .*gone since the last drawing: layer 1: positions /);
	const page = connect(view);
	const waiting = kernel.send("execute_request", {
		code: "while (session.numTokens < 53) await new Promise((done) => setTimeout(done, 5)); session.numTokens",
	});
	for (let i = 0; i < 3; i++) {
		page.press("step");
		await follows(view, new RegExp(`\\n${51 + i} tokens`));
	}
	const { iopub } = await kernel.exchange(waiting);
	assert.equal(iopub.find(({ type }) => type === "execute_result")!.content.data["text/plain"], "53");
	page.press("back");
	await follows(view, /\n52 tokens/);
	await kernel.execute("session.breakOn('evict', (event) => event.layer === 3)");
	page.press("run");
	await follows(view, /stopped at evict in step \d+/);
	assert.match(drawn(view).at(-1)!.content.data["text/html"], /stroke="#D55E00"/);
});

test("pages of unknown or closed views are told so; a closed view stays as it was", async () => {
	const unknown = connect("octavo-view-of-another-day");
	const closed = () =>
		kernel.messages.filter(({ type }) => type === "comm_close").map(({ content }) => content.comm_id);
	await kernel.until(() => closed().includes(unknown.id));
	const view = await show("iteration.rewind({ tasks: 3 }); const ends = iteration.view(); ends");
	const page = connect(view);
	await kernel.execute("ends.close(); await new Promise((done) => setTimeout(done, 50));");
	const before = drawn(view).length;
	page.press("step");
	await kernel.until(() => closed().includes(page.id));
	await kernel.execute("iteration.stepSync(); await new Promise((done) => setTimeout(done, 200));");
	assert.equal(drawn(view).length, before);
	const { reply } = await kernel.execute("session.view({ layers: [9] })");
	assert.match(reply.evalue, /ERR_OCTAVO_LAYER/);
	assert.match((await kernel.execute("session.view({ layer: 1 } as any)")).reply.evalue, /did you mean layers/);
});

test("outside a notebook a view is a picture, and stepping costs nothing more", async () => {
	const schedule = schedules.zeroOffloadAsync(schedules.publishedConfiguration("7B"));
	const iteration = hardware.simulateIteration(schedule, hardware.profileByName("h100-4x"));
	const view = iteration.view();
	const look = () =>
		(view as unknown as Record<symbol, () => Record<string, string>>)[Symbol.for("Jupyter.display")]!();
	iteration.stepSync();
	assert.match(look()["text/plain"]!, /\n1 of/);
	iteration.stepSync();
	assert.match(look()["text/plain"]!, /\n2 of/);
	await view.redraw();
	iteration.close();
	const model = await loadModel();
	const session = model.session({ policy: policies.full() });
	const map = session.view();
	session.prefillSync([1, 150]);
	assert.equal(map.displayId.startsWith("octavo-view-"), true);
	session.close();
	model.close();
});
