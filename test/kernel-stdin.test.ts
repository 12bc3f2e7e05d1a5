// Questions to the user over raw ZeroMQ: asked of the client whose cell it is, answered by nobody else, ended by an
// interrupt, refused where the front end takes none.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Dealer } from "zeromq";
import { type Exchange, KernelClient, type Received } from "./helpers/kernel-client.js";

let kernel: KernelClient;

before(async () => {
	kernel = await KernelClient.start();
});

after(() => kernel.stop());

const run = (code: string, allow_stdin = true): string => kernel.send("execute_request", { code, allow_stdin });
const result = ({ iopub }: Exchange): string | undefined =>
	iopub.find(({ type }) => type === "execute_result")?.content.data["text/plain"];
const questions = (id: string): Received[] =>
	kernel.messages.filter(({ channel, parentId }) => channel === "stdin" && parentId === id);

/** Waits for a cell's question. @param nth counts from 1 */
async function question(id: string, nth = 1): Promise<Received> {
	await kernel.until(() => questions(id).length >= nth);
	return questions(id)[nth - 1]!;
}

const answer = (value: unknown, parent: unknown = {}): string =>
	kernel.send("input_reply", { value }, "stdin", {}, [], parent);

for (const form of ["await prompt", "prompt.sync"]) {
	test(`${form}: asked on stdin in the cell's name, and answered`, async () => {
		const id = run(`${form}("Your name? ")`);
		const asked = await question(id);
		assert.equal(asked.type, "input_request");
		assert.deepEqual(asked.content, { prompt: "Your name? ", password: false });
		answer("Ünal 🌍", asked.header);
		assert.equal(result(await kernel.exchange(id)), "'Ünal 🌍'");
	});

	test(`${form}: an answer that names no question counts; an empty one gives the fallback`, async () => {
		const id = run(`${form}("", "nobody")`);
		await question(id);
		answer("");
		assert.equal(result(await kernel.exchange(id)), "'nobody'");
	});

	test(`${form}: an interrupt ends it, and the next cell's question is another`, async () => {
		const id = run(`${form}("stuck? ")`);
		const asked = await question(id);
		await kernel.ask("interrupt_request", {}, "control");
		assert.equal((await kernel.exchange(id)).reply.ename, "Interrupted");
		const next = run(`${form}("again? ")`);
		await question(next);
		answer("late", asked.header);
		answer("right");
		assert.equal(result(await kernel.exchange(next)), "'right'");
		assert.match(kernel.notes, /it answers another question/);
	});

	test(`${form}: refused with a code where the front end takes no questions`, async () => {
		const { reply } = await kernel.exchange(run(`${form}("?")`, false));
		assert.equal(reply.status, "error");
		assert.match(
			reply.evalue,
			/\[ERR_OCTAVO_STDIN\] Expected a cell of a front end that answers .*allow_stdin is false/,
		);
	});
}

test("hidden input is asked for as a password", async () => {
	const id = run("[await prompt.hidden('key: '), prompt.hiddenSync('again: ')].join()");
	assert.deepEqual((await question(id)).content, { prompt: "key: ", password: true });
	answer("a");
	assert.deepEqual((await question(id, 2)).content, { prompt: "again: ", password: true });
	answer("b");
	assert.equal(result(await kernel.exchange(id)), "'a,b'");
});

test("confirm asks until it is told yes or no", async () => {
	const id = run("[await confirm('Sure?'), confirm.sync('Really?')]");
	assert.equal((await question(id)).content.prompt, "Sure? [y/n] ");
	for (const [nth, text] of ["maybe", " YES ", "", "n"].entries()) {
		await question(id, nth + 1);
		answer(text);
	}
	assert.equal(result(await kernel.exchange(id)), "[ true, false ]");
	assert.equal(questions(id).length, 4);
});

test("questions asked at once are put one after the other", async () => {
	const id = run("await Promise.all([prompt('a'), prompt('b')])");
	await question(id);
	assert.equal((await kernel.ask("kernel_info_request", {}, "control")).status, "ok");
	assert.equal(questions(id).length, 1);
	answer("1");
	await question(id, 2);
	answer("2");
	assert.equal(result(await kernel.exchange(id)), "[ '1', '2' ]");
});

test("two queued cells each get their own answer", async () => {
	const ids = [run("await prompt('first')"), run("prompt.sync('second')")];
	for (const [i, id] of ids.entries()) {
		assert.equal((await question(id)).content.prompt, ["first", "second"][i]);
		answer(`answer ${i}`);
		assert.equal(result(await kernel.exchange(id)), `'answer ${i}'`);
	}
});

test("answers that are forged, malformed, unasked or another client's change nothing", async () => {
	answer("unasked");
	const id = run("await prompt('who? ')");
	const asked = await question(id);
	const stranger = new Dealer({ routingId: "stranger", linger: 0 });
	stranger.connect(kernel.stdinAddress);
	try {
		await stranger.send(kernel.frames("input_reply", { value: "stranger" }, undefined, {}, asked.header).frames);
		await kernel.stdin.send(kernel.frames("input_reply", { value: "forged" }, "wrong key").frames);
		answer(7, asked.header);
		kernel.send("execute_request", { code: "1" }, "stdin");
		const noted = [
			/nothing was asked/,
			/another client was asked/,
			/signed with this kernel's key/,
			/a string as value but it is number/,
			/expected an input_reply/,
		];
		for (const note of noted)
			await kernel.until(() => note.test(kernel.notes)).catch(() => assert.match(kernel.notes, note));
		answer("mine", asked.header);
		assert.equal(result(await kernel.exchange(id)), "'mine'");
	} finally {
		stranger.close();
	}
});

test("while a question waits the kernel answers on control, and its heartbeat beats", async () => {
	const id = run("prompt.sync('?')");
	await question(id);
	assert.ok((await kernel.beat()) < 20_000);
	assert.equal((await kernel.ask("kernel_info_request", {}, "control")).status, "ok");
	answer("done");
	await kernel.exchange(id);
});

test("a question of no cell, or without a text, is an error", async () => {
	const path = join(kernel.folder, "ask");
	const asks =
		"import { existsSync } from 'node:fs'; const timer = setInterval(() => {" +
		` if (!existsSync(${JSON.stringify(path)})) return; clearInterval(timer);` +
		" void prompt('?').catch((error) => console.log(error.message)); }, 10);";
	const id = run(asks);
	await kernel.exchange(id);
	// The cell is over for both processes, however slow they are.
	writeFileSync(path, "");
	const told = () => kernel.messages.find(({ parentId, type }) => parentId === id && type === "stream");
	await kernel.until(() => told() !== undefined);
	assert.match(told()!.content.text, /received no running cell/);
	const { reply } = await kernel.exchange(run("await prompt(7 as any)"));
	assert.match(reply.evalue, /\[ERR_OCTAVO_STDIN\] Expected a text to ask with but received 7/);
});

test("a worker that dies while it asks is replaced, and the next question works", async () => {
	const id = run("setTimeout(() => process.kill(process.pid, 'SIGKILL'), 50); await prompt('?')");
	await question(id);
	assert.equal((await kernel.exchange(id)).reply.ename, "KernelWorkerDied");
	const next = run("prompt.sync('still there?')");
	await question(next);
	answer("yes");
	assert.equal(result(await kernel.exchange(next)), "'yes'");
});
