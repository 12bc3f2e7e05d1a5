// The worker's second thread: waits for interrupts from the front process, and terminates a cell that does not yield,
// through the inspector. It also ends the process when the front process is gone, whatever the cell is doing. It reads the
// requests too: nothing terminates this thread, while a terminated callback of the main thread would lose what it had read.
// And it writes the text that the cell has left held, and has memory collected.

import { Session } from "node:inspector";
import { Socket } from "node:net";
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import type { DebugRelay } from "./debug-relay.js";
import { HeldFrames, heldMs } from "./frame-writer.js";
import { activity, codeState, type InterruptMessage, isSettled, type MainMessage, slot } from "./interrupt-state.js";
import { onLines } from "./lines.js";
import { debugDescriptor, interruptDescriptor, requestDescriptor } from "./protocol.js";

/** What the main thread hands over. */
export interface InterruptThreadData {
	shared: Int32Array;
	port: MessagePort;
	/** Where the main thread takes requests from, one JSON text a message. */
	requests: MessagePort;
	/** Memory of the frames that the main thread holds. */
	held: SharedArrayBuffer;
}

/** Time that what runs has to yield before it is terminated, in milliseconds; without a cell, a timer's callback. */
const yieldMs = { [activity.none]: 1000, [activity.cell]: 12, [activity.loading]: 2000 } as const;
/** The same for a thread that is stopped at a breakpoint: the time between two looks. */
const pausedYieldMs = 2;

const { shared, port, requests, held } = workerData as InterruptThreadData;
const session = new Session();
session.connectToMainThread();

let working = false;
readLines(interruptDescriptor, (line) => {
	// In this order: who sees the new count sees its target too.
	Atomics.store(shared, slot.target, Number(line));
	Atomics.add(shared, slot.requested, 1);
	if (!working) void interrupt();
});
readLines(requestDescriptor, (line) => {
	requests.postMessage(line);
	say("request");
});

const frames = new HeldFrames(held);
parentPort!.on("message", (message: MainMessage) => {
	if (message === "held") writeHeld();
	// Unlike V8's own `gc`, this also shrinks the space for new objects.
	else session.post("HeapProfiler.collectGarbage");
});

let relay: DebugRelay | undefined;
const debugPipe = new Socket({ fd: debugDescriptor, readable: true, writable: true });
debugPipe.setEncoding("utf8");
debugPipe.on("error", () => {});
debugPipe.once("data", (first: string) => {
	debugPipe.pause();
	void import("./debug-relay.js").then(({ DebugRelay }) => {
		relay = new DebugRelay(debugPipe, first);
		debugPipe.resume();
	});
});

function readLines(descriptor: number, take: (line: string) => void): void {
	const socket = new Socket({ fd: descriptor, readable: true, writable: false });
	const end = () => process.kill(process.pid, "SIGKILL");
	onLines(socket, take);
	socket.on("end", end);
	socket.on("error", end);
}

/** Some milliseconds after the main thread has said that it holds text. */
function writeHeld(): void {
	setTimeout(() => {
		if (!frames.tryFlush()) writeHeld();
	}, heldMs);
}

async function interrupt(): Promise<void> {
	working = true;
	relay?.skipPauses(true);
	while (!isSettled(shared)) {
		say("ask");
		if (Atomics.load(shared, slot.evaluating) > 0) process.kill(process.pid, "SIGINT");
		// Stopped at a breakpoint it cannot yield; in the kernel's own code, which nobody terminates, it only goes on.
		const paused = relay?.paused === true;
		if (paused && Atomics.load(shared, slot.state) === codeState.own) relay?.resume();
		const active = Atomics.load(shared, slot.active) as keyof typeof yieldMs;
		const patience = paused ? pausedYieldMs : yieldMs[active];
		const end = performance.now() + patience;
		while (!isSettled(shared) && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 2));
		if (isSettled(shared)) break;
		const before = Atomics.compareExchange(shared, slot.state, codeState.user, codeState.terminating);
		if (before !== codeState.user) continue;
		// The cell may have ended, and another begun, since the last look.
		if (isSettled(shared)) Atomics.store(shared, slot.state, codeState.user);
		else await terminate();
	}
	relay?.skipPauses(false);
	working = false;
}

function say(message: InterruptMessage): void {
	port.postMessage(message);
}

/** Ends what the main thread runs, or what it runs next: the message sent along makes sure that there is a next. */
async function terminate(): Promise<void> {
	const terminated = new Promise((resolve) => session.post("Runtime.terminateExecution", resolve));
	say("ask");
	relay?.resume();
	await terminated;
	Atomics.store(shared, slot.state, codeState.user);
	say("terminated");
}
