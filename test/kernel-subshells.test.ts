// Subshells (JEP 91) over raw ZeroMQ: lines of requests that are answered while the cell of another shell awaits.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { type Exchange, KernelClient } from "./helpers/kernel-client.js";

let kernel: KernelClient;
let subshell: string;

before(async () => {
	kernel = await KernelClient.start();
	const first = await kernel.execute(
		"const gates = new Map<string, () => void>();" +
			"const gate = (name: string) => new Promise<void>((open) => gates.set(name, open));" +
			"const sleep = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));",
	);
	assert.deepEqual([first.stdout, first.stderr], ["", ""], "a worker starts without a word");
	({ subshell_id: subshell } = await kernel.ask("create_subshell_request", {}, "control"));
});

beforeEach(() => {
	kernel.subshell = undefined;
});

after(() => kernel.stop());

const defaults = { silent: false, store_history: true, user_expressions: {}, allow_stdin: false, stop_on_error: true };

/** Sends a cell to a shell; gives its id. */
function start(code: string, shell?: string, options: Record<string, unknown> = {}): string {
	return to(shell, () => kernel.send("execute_request", { code, ...defaults, ...options }));
}

function to<T>(shell: string | undefined, send: () => T): T {
	kernel.subshell = shell;
	try {
		return send();
	} finally {
		kernel.subshell = undefined;
	}
}

const run = (code: string, shell?: string, options?: Record<string, unknown>): Promise<Exchange> =>
	kernel.exchange(start(code, shell, options));

/** Starts a cell of the parent shell that prints "in", awaits the gate, and then goes on with `rest`. */
async function waiting(name: string, rest = ""): Promise<string> {
	const id = start(`console.log("in"); await gate(${JSON.stringify(name)}); ${rest}`);
	await kernel.until(() => kernel.messages.some(({ parentId, type }) => parentId === id && type === "stream"));
	return id;
}

const result = ({ iopub }: Exchange): unknown =>
	iopub.find(({ type }) => type === "execute_result")?.content.data["text/plain"];

test("subshells are made, listed and deleted on the control channel", async () => {
	const { subshell_id } = await kernel.ask("create_subshell_request", {}, "control");
	assert.notEqual(subshell_id, subshell);
	const list = () => kernel.ask("list_subshell_request", {}, "control");
	assert.deepEqual((await list()).subshell_id, [subshell, subshell_id]);
	assert.deepEqual(await kernel.ask("delete_subshell_request", { subshell_id }, "control"), { status: "ok" });
	assert.deepEqual((await list()).subshell_id, [subshell]);
	for (const wrong of [{ subshell_id }, {}, { subshell_id: 5 }]) {
		const refused = await kernel.ask("delete_subshell_request", wrong, "control");
		assert.equal(refused.status, "error");
		assert.match(refused.evalue, /Expected the id of a subshell/);
	}
});

test("a request to a subshell that is not there is an error, between busy and idle", async () => {
	const { reply, iopub } = await run("let unseen = 1", "nobody");
	assert.equal(reply.status, "error");
	assert.match(reply.evalue, /Expected the id of a subshell but received "nobody"/);
	assert.deepEqual(
		iopub.map(({ type, content }) => content.execution_state ?? type),
		["busy", "error", "idle"],
	);
	const info = await kernel.reply(to("nobody", () => kernel.send("comm_info_request", {})));
	assert.equal(info.status, "error");
	const comm = to("nobody", () => kernel.send("comm_msg", { comm_id: "x", data: {} }));
	await kernel.until(() => /dropped a "comm_msg": Expected the id of a subshell/.test(kernel.notes));
	const states = () => kernel.messages.filter(({ parentId }) => parentId === comm).map(({ content }) => content);
	await kernel.until(() => states().length === 2);
	assert.deepEqual(states(), [{ execution_state: "busy" }, { execution_state: "idle" }]);
});

test("a cell of a subshell runs while one of the parent shell awaits, and both see the same variables", async () => {
	const first = await waiting("shared", "let own = 4; 'first'");
	const second = await run("let seen = 21; console.log('here'); gates.get('shared')!(); 'second'", subshell);
	assert.equal(result(second), "'second'");
	assert.equal(second.stdout, "here\n");
	const done = await kernel.exchange(first);
	assert.equal(done.stdout, "in\n");
	assert.equal(result(done), "'first'");
	assert.equal(result(await run("seen + own")), "25");
	assert.equal(result(await run("seen - own", subshell)), "17");
});

test("outputs, results and errors of cells that take turns each go to their own", async () => {
	const loop = (name: string) =>
		`for (let i = 0; i < 20; i++) { console.log(${JSON.stringify(name)}, i); display(${JSON.stringify(name)}); await sleep(1); } ${JSON.stringify(name)}`;
	const ids = [start(loop("parent")), start(loop("child"), subshell)];
	for (const [index, name] of ["parent", "child"].entries()) {
		const exchange = await kernel.exchange(ids[index]!);
		assert.equal(result(exchange), `'${name}'`);
		assert.equal(exchange.stdout, Array.from({ length: 20 }, (_, i) => `${name} ${i}\n`).join(""));
		const shown = exchange.iopub.filter(({ type }) => type === "display_data");
		assert.deepEqual(new Set(shown.map(({ content }) => content.data["text/plain"])), new Set([`'${name}'`]));
		assert.equal(shown.length, 20);
	}
	const failing = [
		start("await sleep(20); throw new Error('of the parent')"),
		start("await sleep(10); (null as any).x", subshell),
	];
	const [one, other] = await Promise.all(failing.map((id) => kernel.exchange(id)));
	assert.equal(one!.reply.evalue, "of the parent");
	assert.equal(other!.reply.ename, "TypeError");
});

test("floods of two cells, and what their child processes write, are whole and before their idle", async () => {
	const flood = (name: string) =>
		`for (let i = 0; i < 40; i++) { for (let j = 0; j < 30; j++) console.log("${name}", 30 * i + j); await sleep(0); }`;
	const child = "(await import('node:child_process')).spawnSync('sh', ['-c', 'echo child'], { stdio: 'inherit' });";
	const ids = [start(flood("parent")), start(`${flood("child")} ${child}`, subshell)];
	const [one, other] = await Promise.all(ids.map((id) => kernel.exchange(id)));
	const lines = (name: string) => Array.from({ length: 1200 }, (_, i) => `${name} ${i}\n`).join("");
	const isNative = (line: string) => line === "child";
	const own = (text: string) =>
		text
			.split("\n")
			.filter((line) => !isNative(line))
			.join("\n");
	assert.deepEqual([own(one!.stdout), own(other!.stdout)], [lines("parent"), lines("child")]);
	const native = `${one!.stdout}${other!.stdout}`.split("\n").filter(isNative);
	assert.equal(native.length, 1, "the child's line belongs to one of the cells");
});

test("what a cell of a subshell leaves in the background prints there, until the shell's next cell", async () => {
	const id = start("setTimeout(() => console.log('later'), 50); 0", subshell);
	await kernel.exchange(id);
	const other = await run("await sleep(100)");
	assert.equal(other.stdout, "");
	const late = kernel.messages.find(({ type, content }) => type === "stream" && content.text === "later\n");
	assert.equal(late?.parentId, id);
});

test("comm messages, completions and inspections to a subshell do not wait for cells of the parent", async () => {
	await run(
		"let heard: unknown[] = []; comms.onOpen('target', (comm) => comm.onMessage(({ data }) => { heard.push(data); comm.send(data); }))",
	);
	const first = await waiting("comms", "heard.length");
	const behind = start("'behind'");
	to(subshell, () => kernel.send("comm_open", { comm_id: "c1", target_name: "target", data: {} }));
	to(subshell, () => kernel.send("comm_msg", { comm_id: "c1", data: 7 }));
	await kernel.until(() => kernel.messages.some(({ type, content }) => type === "comm_msg" && content.data === 7));
	const completed = await kernel.reply(
		to(subshell, () => kernel.send("complete_request", { code: "gates.ge", cursor_pos: 8 })),
	);
	assert.deepEqual(completed.matches, ["get"]);
	const known = await kernel.reply(
		to(subshell, () => kernel.send("inspect_request", { code: "gates", cursor_pos: 2, detail_level: 0 })),
	);
	assert.equal(known.found, true);
	assert.ok(!kernel.messages.some(({ parentId, channel }) => parentId === behind && channel === "shell"));
	await run("gates.get('comms')!()", subshell);
	assert.equal(result(await kernel.exchange(first)), "1");
	await kernel.exchange(behind);
});

test("an error aborts what waits in its own shell alone", async () => {
	const first = await waiting("abort");
	const behind = start("'goes on'");
	const failed = start("await gate('fails'); throw new Error('no')", subshell);
	const doomed = start("'never'", subshell);
	const third = await kernel.ask("create_subshell_request", {}, "control");
	await run("while (!gates.has('fails')) await sleep(1); gates.get('fails')!()", third.subshell_id);
	await kernel.ask("delete_subshell_request", third, "control");
	assert.equal((await kernel.exchange(failed)).reply.status, "error");
	assert.equal((await kernel.exchange(doomed)).reply.status, "aborted");
	await run("gates.get('abort')!()", subshell);
	assert.equal((await kernel.exchange(first)).reply.status, "ok");
	assert.equal(result(await kernel.exchange(behind)), "'goes on'");
});

test("an interrupt stops the cells of all shells, whatever they do, and all go on to work", async () => {
	for (const [one, other] of [
		["await gate('never')", "await gate('neither')"],
		["await gate('never')", "while (true);"],
		["for (;;) await sleep(1)", "for (;;) { try { await sleep(1); } catch {} }"],
	]) {
		const ids = [start(`console.log('a'); ${one}`), start(`console.log('b'); await sleep(1); ${other}`, subshell)];
		for (const id of ids) {
			await kernel.until(() => kernel.messages.some(({ parentId, type }) => parentId === id && type === "stream"));
		}
		await sleep(30);
		await kernel.ask("interrupt_request", {}, "control");
		for (const id of ids) assert.equal((await kernel.exchange(id)).reply.ename, "Interrupted", `${one} ${other}`);
		const after = [
			start("await sleep(1); console.log('parent')"),
			start("await sleep(1); console.log('child')", subshell),
		];
		const [parent, child] = await Promise.all(after.map((id) => kernel.exchange(id)));
		assert.deepEqual([parent!.stdout, child!.stdout], ["parent\n", "child\n"]);
	}
});

const sleep = (ms: number) => new Promise((done) => setTimeout(done, ms));

test("names that both declare: the later one counts, and a failure gives back only what nobody took since", async () => {
	await run("let both = 'old'; let mine = 'old'");
	const first = await waiting("names", "throw 1; let both = 'parent'; let mine = 'parent'");
	await run("let both = 'child'", subshell);
	await run("gates.get('names')!()", subshell);
	assert.equal((await kernel.exchange(first)).reply.status, "error");
	assert.equal(result(await run("[both, mine].join()")), "'child,old'");
});

test("`using` of one cell is not disposed of by the end of another's", async () => {
	const resource = (name: string) => `using ${name} = { [Symbol.dispose]() { console.log("closed ${name}"); } };`;
	const first = start(`${resource("outer")} console.log("in"); await gate("using"); console.log("goes on");`);
	await kernel.until(() => kernel.messages.some(({ parentId, type }) => parentId === first && type === "stream"));
	const second = await run(`${resource("inner")} gates.get("using")!(); await sleep(1);`, subshell);
	assert.equal(second.stdout, "closed inner\n");
	assert.equal((await kernel.exchange(first)).stdout, "in\ngoes on\nclosed outer\n");
});

test("each shell asks its own client, and takes the answers in their order", async () => {
	const asks = (name: string) => `await prompt("${name}? ")`;
	const ids = [
		start(asks("parent"), undefined, { allow_stdin: true }),
		start(asks("child"), subshell, { allow_stdin: true }),
	];
	const asked = () => kernel.messages.filter(({ type }) => type === "input_request");
	for (let nth = 1; nth <= 2; nth++) {
		await kernel.until(() => asked().length >= nth);
		const { parentId } = asked()[nth - 1]!;
		kernel.send("input_reply", { value: parentId === ids[0] ? "P" : "C" }, "stdin");
	}
	assert.equal(result(await kernel.exchange(ids[0]!)), "'P'");
	assert.equal(result(await kernel.exchange(ids[1]!)), "'C'");
});

test("a subshell that is deleted lets its cell end, and refuses what waits behind", async () => {
	const { subshell_id } = await kernel.ask("create_subshell_request", {}, "control");
	const running = start(
		"console.log('in'); await gate('deleted'); console.log('late'); display(1); 'ended'",
		subshell_id,
	);
	const behind = start("'never'", subshell_id);
	await kernel.until(() => kernel.messages.some(({ parentId, type }) => parentId === running && type === "stream"));
	await kernel.ask("delete_subshell_request", { subshell_id }, "control");
	assert.match((await kernel.exchange(behind)).reply.evalue, /Expected the id of a subshell/);
	await run("gates.get('deleted')!()");
	const ended = await kernel.exchange(running);
	assert.equal(result(ended), "'ended'");
	assert.equal(ended.stdout, "in\nlate\n");
	assert.equal(ended.iopub.filter(({ type }) => type === "display_data").length, 1);
});

test("when the worker dies each running cell has its error and idle, and subshells stay", async () => {
	const ids = [await waiting("death"), start("await gate('death too')", subshell)];
	await kernel.until(() =>
		kernel.messages.some(({ parentId, type }) => parentId === ids[1] && type === "execute_input"),
	);
	await sleep(100);
	const killer = await kernel.ask("create_subshell_request", {}, "control");
	ids.push(start("process.kill(process.pid, 'SIGKILL'); await new Promise(() => {})", killer.subshell_id));
	for (const id of ids) {
		const { reply } = await kernel.exchange(id);
		assert.equal(reply.ename, "KernelWorkerDied");
	}
	assert.equal(result(await run("1 + 1", subshell)), "2");
});
