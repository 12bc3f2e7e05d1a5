// The front process's handle on the cell worker: starts it, sends it requests, tells it to interrupt, and starts a new
// one when it dies. What a cell or native code writes to descriptors 1 and 2 arrives here too; a mark that the worker
// writes there at a cell's end says when everything has come.

import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { MessageContent } from "../wire/frames.js";
import type { SentContent } from "./content.js";
import { FrameReader } from "./frame-reader.js";
import { FrontLanes } from "./front-lanes.js";
import { lateTimer } from "./late-timer.js";
import { onLines } from "./lines.js";
import { MarkedStream } from "./marked-stream.js";
import { watchPipes } from "./pipe-watch.js";
import {
	debugDescriptor,
	type ExecuteResult,
	interruptDescriptor,
	outputDescriptor,
	requestDescriptor,
	type WorkerEvent,
	type WorkerRequest,
} from "./protocol.js";
import { SnapshotFile } from "./snapshot-file.js";
import { howItEnded, howItSpoiled, WorkerDied } from "./worker-died.js";
import { workerEnv, workerFlags } from "./worker-env.js";
import type { WorkerListener } from "./worker-listener.js";

/** What came of a cell. */
export type ExecuteOutcome = Omit<ExecuteResult, "content"> & { content?: MessageContent };

const workerPath = fileURLToPath(new URL("./worker.js", import.meta.url));
/** Longest wait for the marks on descriptors 1 and 2, in milliseconds: a cell may have closed or replaced them. */
const markMs = 500;
/** Longest wait for the last output of a worker that ended, in milliseconds. */
const lastOutputMs = 250;
/** Text of its stderr kept to tell why it ended, in UTF-16 units. */
const stderrKept = 4096;
/** Time after a worker's start in which the snapshot is not yet made: the first cells come first. In milliseconds. */
const snapshotDelayMs = 3000;

/** A cell to run. */
export type CellToRun = Omit<WithoutId<Extract<WorkerRequest, { method: "execute" }>>, "mark">;

type WithoutId<T> = T extends unknown ? Omit<T, "id"> : never;
/** A request without what this class fills in. */
export type Request = WithoutId<WorkerRequest>;

interface Pending {
	line: string;
	resolve(value: unknown): void;
	reject(error: Error): void;
}

/** A worker process that is always there: one that dies is replaced. */
export class WorkerProcess {
	/** Told of what the worker sends; set before the first request. */
	listener: WorkerListener | undefined;
	#child!: ChildProcess;
	#pending = new Map<number, Pending>();
	#nextId = 1;
	#stopping = false;
	readonly #snapshot = new SnapshotFile(workerFlags);
	#makeSnapshot: NodeJS.Timeout | undefined;
	/** Of the worker: `trying` to start from the snapshot; `gone` when it ended before it was ready, until it is asked again. */
	#state: "trying" | "starting" | "ready" | "gone" = "starting";
	#stderrTail = "";
	/** Why this process ends the worker. */
	#reason: string | undefined;
	readonly #marks = [
		new MarkedStream((text) => this.listener?.nativeText("stdout", text)),
		new MarkedStream((text) => {
			this.#stderrTail = (this.#stderrTail + text).slice(-stderrKept);
			if (this.#state !== "trying") this.listener?.nativeText("stderr", text);
		}),
	] as const;
	#lanes: FrontLanes | undefined;

	constructor() {
		this.#start();
	}

	/** Process id of the worker. */
	get pid(): number | undefined {
		return this.#child.pid;
	}

	/**
	 * Sends a request; rejects with {@link WorkerDied} when the worker dies before it answers.
	 *
	 * @param named told the request's id, which events of the worker may name
	 */
	request<Result>(request: Request, named?: (id: number) => void): Promise<Result> {
		const id = this.#nextId++;
		named?.(id);
		return new Promise<Result>((resolve, reject) => {
			const line = `${JSON.stringify({ ...request, id })}\n`;
			if (this.#state === "gone") this.#start();
			this.#pending.set(id, { line, resolve: resolve as (value: unknown) => void, reject });
			this.#pipe(requestDescriptor).write(line);
		});
	}

	/** Runs a cell and waits until all of its output has arrived. */
	async execute(request: CellToRun): Promise<ExecuteOutcome> {
		const mark = `\u0000${randomBytes(12).toString("hex")}\u0000`;
		const marks = this.#marks.map((stream) => stream.until(mark));
		let waitMs = 0;
		try {
			const result = await this.request<ExecuteOutcome>({ ...request, mark });
			waitMs = markMs;
			return result;
		} finally {
			await Promise.all(marks.map((seen) => seen(waitMs)));
		}
	}

	/** The lanes to and from the worker that runs now. */
	get lanes(): FrontLanes {
		return this.#lanes!;
	}

	/** Gives the worker what was asked of the user. @param sync whether its main thread blocks until then */
	answerInput(inputId: number, text: string, sync: boolean): void {
		if (sync) this.#lanes!.leaveNote(inputId, text);
		else void this.request({ method: "input", inputId, text }).catch(() => {});
	}

	/** Stops the running cells; their variables stay. */
	interrupt(): void {
		this.#pipe(interruptDescriptor).write(`${this.#nextId - 1}\n`);
	}

	/** Writes a line to the debugger's end in the worker. */
	debug(line: string): void {
		this.#pipe(debugDescriptor).write(line);
	}

	/** Kills the worker for good. */
	async stop(): Promise<void> {
		this.#stopping = true;
		clearTimeout(this.#makeSnapshot);
		this.#snapshot.close();
		if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
		const exited = new Promise((resolve) => this.#child.once("exit", resolve));
		this.#child.kill("SIGKILL");
		await exited;
	}

	#pipe(descriptor: number): Writable {
		return (this.#child.stdio as unknown as Writable[])[descriptor]!;
	}

	#start(): void {
		this.#lanes?.close();
		this.#lanes = new FrontLanes();
		const { toWorker, toFront, contents } = this.#lanes.files;
		const fromSnapshot = this.#snapshot.startFlags;
		this.#state = fromSnapshot.length > 0 ? "trying" : "starting";
		const child = spawn(process.execPath, [...workerFlags, ...fromSnapshot, workerPath], {
			stdio: ["ignore", "pipe", "pipe", "pipe", "pipe", "pipe", toWorker, toFront, "pipe", contents],
			env: workerEnv(),
			// A group of its own: Ctrl-C in a terminal reaches the front process alone, which interrupts in its own way.
			detached: true,
		});
		this.#child = child;
		this.#stderrTail = "";
		this.#reason = undefined;
		this.#marks[0].follow(child.stdout!);
		this.#marks[1].follow(child.stderr!);
		const reader = new FrameReader({
			stream: (name, text) => this.listener?.stream(name, text),
			event: (event) => this.#receive(event),
			broken: () => this.#spoiled(child, "written to", outputDescriptor),
		});
		(child.stdio[3] as Readable).on("data", (bytes: Buffer) => reader.push(bytes));
		onLines((child.stdio as unknown as Readable[])[debugDescriptor]!, (line) => {
			if (child === this.#child) this.listener?.debug(line);
		});
		const own = [outputDescriptor, requestDescriptor, interruptDescriptor, debugDescriptor];
		watchPipes(child, own, (descriptor) => this.#spoiled(child, "closed", descriptor));
		child.once("exit", (code, signal) => {
			// What it wrote last may still be in the pipes; a grandchild that holds them must not keep us waiting.
			const died = () => {
				cancel();
				child.removeListener("close", died);
				if (child === this.#child) this.#died(code, signal);
			};
			const cancel = lateTimer(lastOutputMs, died);
			child.once("close", died);
		});
		child.once("error", (error) => process.stderr.write(`octavo: the worker did not start: ${error.message}\n`));
	}

	#spoiled(child: ChildProcess, how: "written to" | "closed", descriptor: number): void {
		if (child !== this.#child) return;
		this.#reason = howItSpoiled(how, descriptor);
		child.kill("SIGKILL");
	}

	#receive(event: WorkerEvent): void {
		if (event.type === "ready") {
			this.#state = "ready";
			const { snapshot } = event;
			if (snapshot) this.#makeSnapshot = setTimeout(() => void this.#snapshot.make(snapshot), snapshotDelayMs).unref();
		}
		if (event.type === "display") {
			this.listener?.display(this.#lanes!.readContent(event.content as SentContent), event.update);
		} else if (event.type === "reply") {
			this.#answered(event);
		} else {
			this.listener?.event(event);
		}
	}

	#answered(event: Extract<WorkerEvent, { type: "reply" }>): void {
		const pending = this.#pending.get(event.id);
		this.#pending.delete(event.id);
		const result = event.result as { content?: SentContent | MessageContent } | undefined;
		// Now: the lane is read in the order of the events.
		if (result?.content) result.content = this.#lanes!.readContent(result.content as SentContent);
		if (event.failure === undefined) pending?.resolve(result);
		else pending?.reject(new Error(event.failure));
	}

	#died(code: number | null, signal: NodeJS.Signals | null): void {
		if (this.#stopping) return;
		if (this.#state === "trying") {
			// The snapshot is damaged, or of another Node.js after all: nothing has run yet, so nothing is lost.
			this.#snapshot.refuse();
			this.#start();
			for (const { line } of this.#pending.values()) this.#pipe(requestDescriptor).write(line);
			return;
		}
		if (this.#state === "starting") this.#state = "gone";
		const died = new WorkerDied(this.#reason ?? howItEnded(code, signal, this.#stderrTail), this.#state === "ready");
		const pending = [...this.#pending.values()];
		this.#pending = new Map();
		if (this.#state === "ready") this.#start();
		this.listener?.died();
		if (pending.length === 0) this.listener?.nativeText("stderr", `${died.message}\n`);
		for (const { reject } of pending) reject(died);
	}
}
