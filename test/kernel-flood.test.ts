// Cells that print a lot, over raw ZeroMQ: text is held for some milliseconds then, which no order and no line may show.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { KernelClient } from "./helpers/kernel-client.js";

let kernel: KernelClient;

before(async () => {
	kernel = await KernelClient.start();
});
after(() => kernel.stop());

/** Sends a cell; gives its id and what it has printed so far. */
function start(code: string): { id: string; printed: () => string } {
	const id = kernel.send("execute_request", { code });
	const printed = () =>
		kernel.messages
			.filter(({ parentId, type }) => parentId === id && type === "stream")
			.map(({ content }) => content.text)
			.join("");
	return { id, printed };
}

test("all that was printed before an endless loop arrives while it loops", async () => {
	const { id, printed } = start('for (let i = 0; i < 2000; i++) console.log("line", i);\nwhile (true);');
	await kernel.until(() => printed().includes("line 1999\n"));
	await kernel.ask("interrupt_request", {}, "control");
	assert.equal((await kernel.exchange(id)).reply.ename, "Interrupted");
});

test("all that was printed before a cell blocks its thread arrives while it is blocked", async () => {
	const { id, printed } = start(
		'for (let i = 0; i < 200; i++) console.log("line", i);\nAtomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);',
	);
	await kernel.until(() => printed().includes("line 199\n"));
	await kernel.ask("interrupt_request", {}, "control");
	await kernel.exchange(id);
});

test("interrupts in the midst of floods tear no line and lose none", async () => {
	for (let round = 0; round < 8; round++) {
		const { id, printed } = start("for (let i = 0; ; i++) console.log(i);");
		await kernel.until(() => printed().length > 1000 * (round + 1));
		await kernel.ask("interrupt_request", {}, "control");
		const { reply, stdout } = await kernel.exchange(id);
		assert.equal(reply.ename, "Interrupted");
		// The last line's end may be a write of its own.
		const lines = stdout.replace(/\n$/, "").split("\n");
		assert.equal(
			lines.findIndex((line, i) => line !== String(i)),
			-1,
		);
	}
	assert.equal((await kernel.execute("console.log('as ever')")).stdout, "as ever\n");
});

test("both streams and displays keep their order in a flood", async () => {
	const { iopub } = await kernel.execute(
		"for (let i = 0; i < 3000; i++) { if (i % 100 === 99) display(i); else if (i % 7 === 0) console.error(i); else console.log(i); }",
	);
	const seen = iopub.flatMap(({ type, content }) =>
		type === "stream"
			? content.text.trimEnd().split("\n")
			: type === "display_data"
				? [content.data["text/plain"]]
				: [],
	);
	assert.deepEqual(
		seen,
		Array.from({ length: 3000 }, (_, i) => String(i)),
	);
});

test("characters of every length come through a flood whole", async () => {
	const line = "aé→😀";
	const { stdout } = await kernel.execute(
		`for (let i = 0; i < 30_000; i++) console.log("${line}"); console.log("${line}".repeat(20_000));`,
	);
	assert.ok(stdout === `${`${line}\n`.repeat(30_000)}${line.repeat(20_000)}\n`);
});

test("every method of the console prints", async () => {
	const { stdout, stderr } = await kernel.execute(`
		console.group("group"); console.info("%d%%", 5); console.groupEnd();
		console.count("c"); console.count("c"); console.dir({ a: { b: { c: {} } } }, { depth: 0 });
		console.table([{ a: 1 }]); console.assert(false, "why"); console.warn("warned"); console.debug("debugged");
		console.time("t"); console.timeEnd("t"); console.trace("here");`);
	assert.match(
		stdout,
		/^group\n {2}5%\nc: 1\nc: 2\n\{ a: \[Object\] \}\n┌─[\s\S]*│ 0 +│ 1 │\n[\s\S]*┘\ndebugged\nt: [\d.]+ms\n$/,
	);
	assert.match(stderr, /^Assertion failed: why\nwarned\nTrace: here\n {4}at /);
});

test("characters of two units are whole wherever a long text is cut", async () => {
	const { iopub } = await kernel.execute(
		'process.stdout.write("🦉".repeat(600_000)); process.stdout.write("|" + "🦉".repeat(600_000));',
	);
	const printed = iopub.filter(({ type }) => type === "stream").map(({ content }) => content.text);
	assert.equal(printed.join(""), `${"🦉".repeat(600_000)}|${"🦉".repeat(600_000)}`);
});
