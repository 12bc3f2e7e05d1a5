// The cell worker, a process of its own: takes requests from the front process one after the other, runs cells, and
// sends what they put out. It ends when the front process does.

import { writeSync } from "node:fs";
import { stripVTControlCharacters } from "node:util";
import { MessageChannel, receiveMessageOnPort, Worker } from "node:worker_threads";
import { createDisplay } from "../display/index.js";
import { LaneReader, LaneWriter } from "./buffer-lane.js";
import { type CellContext, CellContexts } from "./cell-context.js";
import { optimizeLate, skipInterpreter } from "./code-tiers.js";
import { CommDelivery } from "./comm-delivery.js";
import { CommRegistry } from "./comms.js";
import { Content } from "./content.js";
import { isDisplayed, makeDisplay, ownDisplayId } from "./display-function.js";
import { installDisposables } from "./disposables.js";
import { Evaluator } from "./evaluator.js";
import { FrameWriter, HeldFrames } from "./frame-writer.js";
import { installGlobals } from "./globals.js";
import { IdleMemory } from "./idle-memory.js";
import { Inputs } from "./input.js";
import { makeInstall } from "./install.js";
import { type MainMessage, slot } from "./interrupt-state.js";
import type { InterruptThreadData } from "./interrupt-thread.js";
import { Interrupted } from "./interrupted.js";
import { Interrupts } from "./interrupts.js";
import { giveBackFreed } from "./lane-file.js";
import { captureStreams, Outbox, plainConsole } from "./outbox.js";
import { makeProgress } from "./progress.js";
import { type ExecuteResult, laneDescriptors, type WorkerEvent, type WorkerRequest } from "./protocol.js";
import { isInstance } from "./thrown.js";
import { restoreEnv } from "./worker-env.js";

type ExecuteRequest = Extract<WorkerRequest, { method: "execute" }>;

/** Conversions made while nothing is asked, after which the compiler runs at its full speed; 10 ms each at first. */
const warmRounds = 20;
/** Pause between them, in milliseconds. */
const warmPauseMs = 15;

restoreEnv();
optimizeLate();
const startedFromSnapshot = "octavoSnapshot" in globalThis;
// A process from a snapshot begins without this, and then no error has a stack.
Error.stackTraceLimit ??= 10;
let numRequests = 0;
const running = new Set<CellContext>();
const held = new HeldFrames();
const display = createDisplay(
	(error) => stripVTControlCharacters(evaluator.explainer.explain(error).traceback.join("\n")),
	(text) => evaluator.explainer.mapped(text),
);
/** Requests of the front process, as the interrupt thread has read them; taken out one by one, never listened to. */
const { port1: requests, port2: requestsIn } = new MessageChannel();
const { interrupts, thread } = startInterrupts();
const writer = new FrameWriter(held, interrupts, () => tell("held"));
const contexts = new CellContexts((shell) => new Outbox(writer, shell === undefined ? {} : { shell }));
const outbox = () => contexts.current.outbox;
const evaluator = new Evaluator(process.cwd(), interrupts, contexts);
const toWorker = new LaneReader(laneDescriptors.toWorker);
const toFront = new LaneWriter(laneDescriptors.toFront, true);
const contents = new LaneWriter(laneDescriptors.contents, true);
const comms = new CommRegistry({ send: (event) => outbox().event(event), toFront, toWorker });
const memory = new IdleMemory(
	() => tell("collect"),
	() => {
		toFront.rest();
		contents.rest();
		giveBackFreed();
	},
);
const delivery = new CommDelivery(comms, interrupts, contexts, showFailure("Error in a comm handler"));
const inputs = new Inputs(
	(event) => (event.sync ? outbox().urgent(event) : outbox().event(event)),
	toWorker,
	(promise) => interrupts.wait(promise),
	contexts,
);
captureStreams(outbox, (text) => evaluator.explainer.mapped(text));
plainConsole();
guardProcess();
const cellDisplay = makeDisplay(outbox, (value) => display.toMimeBundle(value, contexts.current.cell), contents);
installDisposables();
installGlobals({
	display: cellDisplay,
	clearOutput: cellDisplay.clear,
	progress: makeProgress(cellDisplay),
	install: makeInstall(process.cwd()),
	comms,
	...inputs.functions(),
});
// What libraries find, so that they need not import the kernel.
Object.defineProperty(globalThis, Symbol.for("octavo.notebook"), { value: { display: cellDisplay, comms } });
interrupts.leave();
outbox().event(startedFromSnapshot ? { type: "ready" } : { type: "ready", snapshot: evaluator.snapshotParts });
warmInBackground(warmRounds);
memory.touch();

function startInterrupts(): { interrupts: Interrupts; thread: Worker } {
	const shared = new Int32Array(new SharedArrayBuffer(4 * Object.keys(slot).length));
	const { port1, port2 } = new MessageChannel();
	const workerData: InterruptThreadData = { shared, port: port2, requests: requestsIn, held: held.memory };
	const thread = new Worker(new URL("./interrupt-thread.js", import.meta.url), {
		workerData,
		transferList: [port2, requestsIn],
	});
	thread.unref();
	return {
		interrupts: new Interrupts(shared, port1, { takeRequests, interrupted: abandonOutput }),
		thread,
	};
}

function tell(message: MainMessage): void {
	thread.postMessage(message);
}

/** Keeps user code from ending the process by accident, and shows errors that nobody caught. */
function guardProcess(): void {
	process.exit = (code) => {
		throw new Error(`process.exit(${code ?? ""}) does not end the kernel; restart or shut it down from the notebook.`);
	};
	process.on("uncaughtException", showFailure("Uncaught in the background"));
	process.on("unhandledRejection", showFailure("Unhandled rejection"));
}

function showFailure(what: string): (error: unknown) => void {
	return (error) => {
		if (isInstance(error, Interrupted)) return;
		process.stderr.write(`${what}: ${evaluator.explainer.explain(error).traceback.join("\n")}\n`);
	};
}

/** In the kernel's own state: what has been taken is not lost to a termination. */
function takeRequests(): void {
	const wasUser = interrupts.enter();
	let alone = false;
	for (let next = receiveMessageOnPort(requests); next; next = receiveMessageOnPort(requests)) {
		const request = JSON.parse(next.message) as WorkerRequest;
		alone ||= request.method !== "input" && request.method !== "comm";
		void answer(request);
	}
	// A request that runs alone gives the state back when it is answered.
	if (wasUser && !alone) interrupts.leave();
}

/** Goes on until the first request: from then on the user's own cells do it. */
function warmInBackground(rounds: number): void {
	setTimeout(() => {
		if (numRequests > 0) return;
		interrupts.enter();
		evaluator.warmUp();
		interrupts.leave();
		if (rounds > 1) warmInBackground(rounds - 1);
	}, warmPauseMs);
}

async function answer(request: WorkerRequest): Promise<void> {
	numRequests++;
	const { id } = request;
	// These leave the state of running cells alone.
	if (request.method === "input") return inputs.answer(request.inputId, request.text);
	if (request.method === "comm") {
		memory.passed();
		return reply(id, behind(contexts.parent), () => delivery.deliver(request, id));
	}
	memory.hold();
	interrupts.enter();
	if (request.method === "execute") await execute(request);
	else await reply(id, atOnce, () => language(request));
	skipInterpreter();
	interrupts.leave();
	memory.touch();
}

async function reply(id: number, send: (event: WorkerEvent) => void, perform: () => unknown): Promise<void> {
	try {
		send({ type: "reply", id, result: await perform() });
	} catch (error) {
		send({ type: "reply", id, failure: (error as Error).stack ?? String(error) });
	}
}

const atOnce = (event: WorkerEvent) => contexts.parent.outbox.urgent(event);
const behind = (context: CellContext) => (event: WorkerEvent) => context.outbox.event(event);

function language(request: Exclude<WorkerRequest, { method: "execute" | "comm" | "input" }>): unknown {
	switch (request.method) {
		case "complete":
			return evaluator.language.complete(request.code, request.cursor);
		case "inspect":
			return evaluator.language.inspect(request.code, request.cursor);
		case "isComplete":
			return evaluator.language.isComplete(request.code);
	}
}

async function execute(request: ExecuteRequest): Promise<void> {
	const { id, cell, shell, stdin } = request;
	const context = contexts.begin(shell, cell, stdin);
	running.add(context);
	interrupts.startRequest(id);
	display.beginCell(cell);
	await reply(id, behind(context), () => run(request, context));
	running.delete(context);
	interrupts.endRequest(id);
}

async function run(request: ExecuteRequest, context: CellContext): Promise<ExecuteResult> {
	const show = (value: unknown) => display.toMimeBundle(value, context.cell);
	const showResult = async (value: unknown) => {
		if (isDisplayed(value)) return undefined;
		// A result has no id, so what replaces its output later is displayed instead.
		if (ownDisplayId(value) === undefined) return show(value);
		await cellDisplay(value);
		return undefined;
	};
	const cell = { request: request.id, context, label: `cell [${request.count}]` };
	const { error, bundle } = await evaluator.execute(request.code, cell, showResult);
	const result: ExecuteResult = { expressions: {} };
	if (error) {
		result.error = error;
	} else {
		if (bundle && !request.silent) {
			const { data, metadata } = bundle;
			result.content = new Content(contents, { execution_count: request.count, data, metadata });
			const text = data["text/plain"];
			if (typeof text === "string") result.text = text;
		}
		for (const [name, code] of Object.entries(request.expressions)) {
			const outcome = await evaluator.execute(String(code), { ...cell, label: "user expression" }, show);
			const shown = outcome.bundle ?? { data: { "text/plain": "undefined" }, metadata: {} };
			result.expressions[name] = outcome.error ? { status: "error", ...outcome.error } : { status: "ok", ...shown };
		}
	}
	inputs.end(context);
	// Native code writes to the descriptors themselves: the mark says that nothing of this cell is still in the pipe.
	for (const descriptor of [1, 2]) {
		try {
			writeSync(descriptor, request.mark);
		} catch {
			// The cell closed it.
		}
	}
	return result;
}

/** After an interrupt, which stops all cells. */
function abandonOutput(): void {
	for (const { outbox } of [contexts.parent, ...running]) outbox.abandon();
}
