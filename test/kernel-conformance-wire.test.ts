// The kernel among strangers: fuzzed and replayed frames, odd clocks, several front ends, late subscribers, floods, and
// every way to ask for its end. All random choices are seeded.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Dealer, Subscriber } from "zeromq";
import { type Exchange, KernelClient } from "./helpers/kernel-client.js";

let kernel: KernelClient;

before(async () => {
	kernel = await KernelClient.start();
});

after(() => kernel.stop());

const resultOf = ({ iopub }: Exchange) =>
	iopub.find(({ type }) => type === "execute_result")?.content.data["text/plain"];
const addOne = "(globalThis as any).runs = ((globalThis as any).runs ?? 0) + 1";

/** A generator of numbers from 0 up to but without `below` (xorshift32). */
function seeded(seed: number): (below: number) => number {
	let state = seed;
	return (below) => {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		return (state >>> 0) % below;
	};
}

test("10,000 fuzzed and replayed frames run nothing, and the kernel answers", { timeout: 120_000 }, async () => {
	const random = seeded(20_261_123);
	const { id, frames: replayed } = kernel.frames("execute_request", { code: addOne });
	await kernel.shell.send(replayed);
	assert.equal(resultOf(await kernel.exchange(id)), "1");
	const damage: ((frames: Buffer[]) => Buffer[])[] = [
		() => replayed,
		(frames) => frames.toSpliced(random(frames.length), 1),
		(frames) => frames.slice(0, random(frames.length)),
		(frames) => {
			const at = 1 + random(frames.length - 1);
			const bytes = Buffer.from(frames[at]!);
			bytes[random(bytes.length)]! ^= 1 << random(8);
			return frames.with(at, bytes);
		},
		(frames) => frames.with(1, Buffer.from(frames[1]!.subarray(0, random(64)))),
		(frames) => frames.with(5, Buffer.from(JSON.stringify({ code: addOne, more: random(1000) }))),
		() => Array.from({ length: random(8) }, () => Buffer.from(Array.from({ length: random(200) }, () => random(256)))),
		(frames) => [...frames.slice(0, 2), ...frames.slice(2, 6).reverse()],
	];
	for (let i = 0; i < 10_000; i++) {
		const { frames } = kernel.frames("execute_request", { code: addOne });
		const damaged = damage[i % damage.length]!(frames);
		const channel = (["shell", "control", "stdin"] as const)[random(3)]!;
		await kernel[channel].send(damaged.length === 0 ? [Buffer.alloc(0)] : damaged);
	}
	assert.equal(resultOf(await kernel.execute("(globalThis as any).runs")), "1");
	assert.equal((await kernel.ask("kernel_info_request", {}, "control")).status, "ok");
	assert.ok((await kernel.beat()) < 20_000);
});

test("clocks that are wrong or say nothing change nothing", async () => {
	const dates = ["1970-01-01T00:00:00Z", "2199-12-31T23:59:59.999999+14:00", "yesterday", "", "2024-01-01"];
	for (const date of dates) {
		const { id, frames } = kernel.frames("execute_request", { code: "6 * 7" }, undefined, {}, {}, "shell", date);
		await kernel.shell.send(frames);
		assert.equal(resultOf(await kernel.exchange(id)), "42", date);
	}
});

test("frames behind the four parts are buffers and do no harm; identities before are given back", async () => {
	const { id, frames } = kernel.frames("execute_request", { code: "'extra'" });
	await kernel.shell.send([Buffer.from("hop-1"), Buffer.from("hop-2"), ...frames, Buffer.alloc(1000), Buffer.alloc(0)]);
	assert.equal(resultOf(await kernel.exchange(id)), "'extra'");
});

test("a cell on the control channel waits for the one that runs, and is answered where it was asked", async () => {
	const running = kernel.send("execute_request", {
		code: "let order = ['first begins']; await new Promise((r) => setTimeout(r, 200)); order.push('first ends');",
	});
	const second = kernel.send("execute_request", { code: "order.push('second'); order" }, "control");
	const { reply, iopub } = await kernel.exchange(second);
	assert.equal(reply.status, "ok");
	const result = iopub.find(({ type }) => type === "execute_result");
	assert.equal(result?.content.data["text/plain"], "[ 'first begins', 'first ends', 'second' ]");
	assert.equal((await kernel.exchange(running)).reply.status, "ok");
});

test("two front ends at once: each gets its own replies, in its order, and both hear all", async () => {
	const second = new Dealer({ routingId: "second-front-end", linger: 0 });
	second.connect(kernel.addresses.shell);
	const replies: string[] = [];
	const listening = (async () => {
		for await (const frames of second) {
			const at = frames.findIndex((frame) => frame.toString() === "<IDS|MSG>");
			replies.push(JSON.parse(frames[at + 3]!.toString()).msg_id);
			if (replies.length === 40) return;
		}
	})();
	try {
		const [mine, theirs]: [string[], string[]] = [[], []];
		for (let i = 0; i < 40; i++) {
			const { id, frames } = kernel.frames("execute_request", { code: `'theirs ${i}'` });
			await second.send(frames);
			theirs.push(id);
			mine.push(kernel.send("execute_request", { code: `'mine ${i}'` }));
		}
		for (const [i, id] of mine.entries()) assert.equal(resultOf(await kernel.exchange(id)), `'mine ${i}'`);
		await listening;
		assert.deepEqual(replies, theirs);
		const heard = (id: string) =>
			kernel.messages.filter(({ channel, parentId }) => channel === "iopub" && parentId === id);
		// A reply may be here before what the cell showed.
		const isIdle = (id: string) => heard(id).some(({ content }) => content.execution_state === "idle");
		await kernel.until(() => theirs.every(isIdle));
		for (const [i, id] of theirs.entries()) {
			assert.equal(
				kernel.messages.some(({ channel, parentId }) => channel === "shell" && parentId === id),
				false,
			);
			const result = heard(id).find(({ type }) => type === "execute_result");
			assert.equal(result?.content.data["text/plain"], `'theirs ${i}'`);
		}
	} finally {
		second.close();
	}
});

test("a front end that leaves before its reply holds up nobody", async () => {
	const gone = new Dealer({ routingId: "gone-front-end", linger: 100 });
	gone.connect(kernel.addresses.shell);
	const { id, frames } = kernel.frames("execute_request", {
		code: "await new Promise((r) => setTimeout(r, 200)); 'left'",
	});
	await gone.send(frames);
	await kernel.until(() => kernel.messages.some(({ parentId }) => parentId === id));
	gone.close();
	assert.equal(resultOf(await kernel.execute("'still here'")), "'still here'");
});

test("late subscribers are welcomed, and miss nothing of their topic from then on", async () => {
	// Displays go out one by one, as fast as they come.
	const id = kernel.send("execute_request", {
		code: "import { setImmediate as turn } from 'node:timers/promises'; for (let i = 0; ; i++) { display(i); await turn(); }",
	});
	await kernel.until(() => kernel.messages.some(({ parentId, type }) => parentId === id && type === "display_data"));
	/** Numbers that were displayed, until the welcome (which what was on its way may come before) and ten more are here. */
	const heard = async (topic: string) => {
		const socket = new Subscriber({ linger: 0, receiveTimeout: 20_000 });
		try {
			socket.connect(kernel.addresses.iopub);
			socket.subscribe(topic);
			const shown: number[] = [];
			let end = Number.POSITIVE_INFINITY;
			while (shown.length < end) {
				const frames = await socket.receive();
				const at = frames.findIndex((frame) => frame.toString() === "<IDS|MSG>");
				const [header, parent, , content] = frames.slice(at + 2, at + 6).map((part) => JSON.parse(part.toString()));
				assert.ok(topic === "" || frames[0]!.toString().startsWith(topic));
				if (header.msg_type === "display_data") shown.push(Number(content.data["text/plain"]));
				else if (header.msg_type === "iopub_welcome" && frames[0]!.toString() === topic) {
					assert.deepEqual([parent, content], [{}, { subscription: topic }]);
					end = Math.min(end, shown.length + 10);
				}
			}
			return shown;
		} finally {
			socket.close();
		}
	};
	try {
		for (let round = 0; round < 5; round++) {
			for (const shown of await Promise.all(["", "display_data", "disp"].map(heard))) {
				assert.deepEqual(
					shown,
					shown.map((_, i) => shown[0]! + i),
				);
			}
		}
	} finally {
		await kernel.ask("interrupt_request", {}, "control");
		await kernel.exchange(id);
	}
});

test("floods arrive whole before idle: 100,000 lines, a line of 5 MiB, characters split over writes", {
	timeout: 120_000,
}, async () => {
	const lines = (await kernel.execute("for (let i = 0; i < 100_000; i++) console.log(i)")).stdout.trimEnd().split("\n");
	assert.equal(lines.length, 100_000);
	assert.ok(lines.every((line, i) => line === String(i)));
	const long = (await kernel.execute("console.log('é'.repeat(5 << 19) + '|')")).stdout;
	assert.equal(long, `${"é".repeat(5 << 19)}|\n`);
	const split = await kernel.execute(
		"const bytes = Buffer.from('wörd 🙂 ende\\n');\nfor (const byte of bytes) { process.stdout.write(Uint8Array.of(byte)); await new Promise((r) => setTimeout(r, 5)); }",
	);
	assert.equal(split.stdout, "wörd 🙂 ende\n");
	const child = await kernel.execute(
		"import { spawnSync } from 'node:child_process'; spawnSync('sh', ['-c', `printf '\\\\360\\\\237'; sleep 0.1; printf '\\\\231\\\\202\\\\n'`], { stdio: 'inherit' }).status",
	);
	assert.equal(child.stdout, "🙂\n");
});

for (const restart of [true, false]) {
	for (const channel of ["control", "shell"] as const) {
		test(`shutdown with restart ${restart} on ${channel}: the reply says so on both sockets, and the process ends well`, async () => {
			const other = await KernelClient.start();
			try {
				const ended = new Promise<number | null>((resolve) => other.process.once("exit", resolve));
				const reply = await other.reply(other.send("shutdown_request", { restart }, channel));
				assert.deepEqual(reply, { status: "ok", restart });
				assert.equal(await ended, 0);
				await other.until(() =>
					other.messages.some((message) => message.channel === "iopub" && message.type === "shutdown_reply"),
				);
				const told = other.messages.find((message) => message.channel === "iopub" && message.type === "shutdown_reply");
				assert.equal(told!.content.restart, restart);
			} finally {
				await other.stop();
			}
		});
	}
}
