// The line of a shell's requests by itself, where a kernel would show these orders only now and then.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Arrived, ShellQueue } from "../kernel/protocol/shell-queue.js";

const arrived = (type: string) => ({ channel: "shell", message: { header: { msg_type: type } } }) as unknown as Arrived;
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A queue whose requests last until they are let go; gives what has begun. */
function makeQueue() {
	const begun: Arrived[] = [];
	const ends = new Map<Arrived, () => void>();
	const queue = new ShellQueue((next) => {
		begun.push(next);
		return new Promise((resolve) => ends.set(next, resolve));
	});
	return { queue, begun, end: (one: Arrived) => ends.get(one)!() };
}

test("cells that come with a failed one are taken, though they are still on their way when it fails", async () => {
	const { queue, begun, end } = makeQueue();
	const [failed, there, late, question] = ["execute", "execute", "execute", "complete"].map((type) =>
		arrived(`${type}_request`),
	) as [Arrived, Arrived, Arrived, Arrived];
	queue.add(failed);
	queue.add(there);
	setImmediate(() => {
		queue.add(question);
		queue.add(late);
	});
	assert.deepEqual(await queue.takeCells(), [there, late]);
	end(failed);
	await turn();
	assert.deepEqual(begun, [failed, question]);
});

test("comm messages pass a running cell, not one that waits; no request waits for their handlers", async () => {
	const { queue, begun, end } = makeQueue();
	const cells = [1, 2].map(() => arrived("execute_request"));
	const comms = ["comm_open", "comm_msg", "comm_close"].map(arrived);
	queue.add(cells[0]!);
	queue.add(comms[0]!);
	assert.deepEqual(begun, [cells[0], comms[0]]);
	queue.add(cells[1]!);
	queue.add(comms[1]!);
	assert.deepEqual(begun, [cells[0], comms[0]]);
	end(cells[0]!);
	await turn();
	assert.deepEqual(begun, [cells[0], comms[0], cells[1], comms[1]], "the handler of the first has not come to its end");
	end(cells[1]!);
	await turn();
	queue.add(comms[2]!);
	const last = arrived("inspect_request");
	queue.add(last);
	await turn();
	assert.deepEqual(begun.slice(4), [comms[2], last]);
});
