// Marks in a worker's raw output: of several cells at once, wherever the pipe cuts them, and however late they are read.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { MarkedStream } from "../kernel/cell/marked-stream.js";

const marks = ["a", "b"].map((sign) => `\u0000${sign.repeat(24)}\u0000`) as [string, string];

/** Sends pieces while both marks are looked for; gives what was delivered, and which marks were seen in time. */
async function through(pieces: readonly string[], waitMs = 10_000): Promise<{ text: string; tookMs: number }> {
	let text = "";
	const stream = new MarkedStream((part) => {
		text += part;
	});
	const raw = new PassThrough();
	stream.follow(raw);
	const waits = marks.map((mark) => stream.until(mark));
	const start = performance.now();
	for (const piece of pieces) raw.write(piece);
	await Promise.all(waits.map((wait) => wait(waitMs)));
	return { text, tookMs: performance.now() - start };
}

test("two marks are taken out, in any order and cut anywhere", async () => {
	for (const [first, second] of [marks, [marks[1], marks[0]]]) {
		const whole = `one\u0000two${first}three${second}four`;
		for (let cut = 1; cut < whole.length; cut++) {
			const { text, tookMs } = await through([whole.slice(0, cut), whole.slice(cut)]);
			assert.equal(text, "one\u0000twothreefour", `cut at ${cut}`);
			assert.ok(tookMs < 5000, "both were seen");
		}
	}
});

test("a mark that does not come holds nothing back for longer than its wait", async () => {
	const { text } = await through(["one", marks[0], `two${marks[1].slice(0, 9)}`], 20);
	assert.equal(text, `onetwo${marks[1].slice(0, 9)}`);
});

test("a mark that has arrived counts, also where this process was held up for longer than the wait", async (t) => {
	const server = createServer().listen(0, "127.0.0.1");
	t.after(() => server.close());
	await once(server, "listening");
	const incoming = once(server, "connection") as Promise<[Socket]>;
	const reading = connect((server.address() as { port: number }).port, "127.0.0.1");
	const [writing] = await incoming;
	t.after(() => [reading, writing].forEach((socket) => void socket.destroy()));
	let text = "";
	const stream = new MarkedStream((part) => {
		text += part;
	});
	stream.follow(reading);
	await once(reading, "ready");
	const wait = stream.until(marks[0]);
	writing.write(`one${marks[0]}two`);
	const seen = wait(1);
	// Nothing of what was written has been read when the timer is due.
	Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
	await seen;
	assert.equal(text, "onetwo");
});
