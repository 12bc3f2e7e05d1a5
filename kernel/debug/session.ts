// One debugger at a kernel: whether it is attached, where the main thread is stopped, and what happens when the
// inspector speaks up. Breakpoints outlive a worker that dies: the next one is attached to anew.

import type { KnownSource } from "../cell/debug-tools.js";
import type { Breakpoint } from "./breakpoints.js";
import { Breakpoints } from "./breakpoints.js";
import { type ExceptionFilter, ExceptionFilters } from "./exception-filters.js";
import { failure, Inspector } from "./inspector.js";
import { noteCells } from "./known-cells.js";
import { isCell, isUserFile, Sources } from "./sources.js";
import { type Motion, Steps } from "./steps.js";
import { callTools, type Paused, type PausedReason, Stop } from "./stop.js";

/** Stops at each script before its first statement, which is when its breakpoints can be set. */
const instrumentation = "beforeScriptWithSourceMapExecution";
/** The only thread that a front end sees. */
export const threadId = 1;
/** What a session needs of the worker process. */
export interface DebuggedWorker {
	/** Writes a line to the debugger's end in the worker. */
	debug(line: string): void;
	/** Stops the running cell. */
	interrupt(): void;
}

/** A debugger of one kernel. */
export class DebugSession {
	readonly sources = new Sources();
	readonly inspector: Inspector;
	readonly breakpoints: Breakpoints;
	readonly #worker: DebuggedWorker;
	readonly #publish: (event: string, body: object) => void;
	readonly #filters = new ExceptionFilters();
	#attached = false;
	/** How often a client has left: an attachment that one of these overtakes gives up. */
	#departures = 0;
	/** Attachments that are under way. */
	#numConnecting = 0;
	#stop: Stop | undefined;
	#nextFrameId = 1;
	readonly #steps: Steps;
	#waiting: Promise<void> = Promise.resolve();
	#ready: Promise<void> = Promise.resolve();
	/** Told of each script while the debugger is being attached. */
	#parsed: ((url: string, scriptId: string) => void) | undefined;

	/**
	 * @param publish sends an event to the front ends
	 * @param execution what tells the running cell from others
	 */
	constructor(worker: DebuggedWorker, publish: (event: string, body: object) => void, execution: () => unknown) {
		this.#worker = worker;
		this.#publish = publish;
		this.#steps = new Steps(execution);
		this.inspector = new Inspector(
			(line) => worker.debug(line),
			(method, params) => this.#event(method, params),
		);
		this.breakpoints = new Breakpoints(this.inspector, this.sources, (breakpoint: Breakpoint) =>
			publish("breakpoint", { reason: "changed", breakpoint }),
		);
	}

	/** Whether a debugger is attached. */
	get attached(): boolean {
		return this.#attached;
	}

	/** How often a client has left so far. */
	get departures(): number {
		return this.#departures;
	}

	/** The present stop; undefined while the thread runs. */
	get stop(): Stop | undefined {
		return this.#stop;
	}

	/** The present stop. @throws {OctavoError} ERR_OCTAVO_DEBUG while the thread runs */
	get stopped(): Stop {
		if (!this.#stop) throw failure("Expected a stopped thread but it runs");
		return this.#stop;
	}

	/**
	 * Attaches to the worker.
	 *
	 * @param departures what {@link DebugSession.departures} was when the client asked
	 * @throws {OctavoError} ERR_OCTAVO_DEBUG where the client has left since
	 */
	async attach(departures: number): Promise<void> {
		this.#checkStays(departures);
		if (this.#attached) return;
		await this.#connect(departures);
		this.#attached = true;
	}

	/** Leaves the worker, or an attachment that has not come about: the worker goes on, and V8 forgets the breakpoints. */
	async detach(): Promise<void> {
		this.#departures++;
		if (!this.#attached && this.#numConnecting === 0) return;
		this.#attached = false;
		this.#resumed();
		this.breakpoints.clear();
		this.#filters.choose([]);
		await this.inspector.post("close");
		this.sources.forgetScripts();
	}

	/** Looks at the worker's values: where nothing is attached, through an inspector that is there for this alone. */
	async look<Result>(looking: () => Promise<Result>): Promise<Result> {
		if (this.#attached) return looking();
		await this.inspector.post("open");
		try {
			return await looking();
		} finally {
			await this.inspector.post("close").catch(() => {});
		}
	}

	/** Chooses what exceptions stop the thread. */
	async setFilters(filters: readonly ExceptionFilter[]): Promise<void> {
		this.#filters.choose(filters);
		if (this.#attached) await this.#filters.apply(this.inspector);
	}

	/** Lets the stopped thread go on. */
	async go(motion: Motion): Promise<void> {
		const stop = this.stopped;
		await callTools(this.inspector, "release", []);
		if (this.#stop !== stop) throw failure("Expected a stopped thread but it runs");
		this.#steps.begin(motion);
		await this.inspector.post(`Debugger.${motion}`);
		// The event that says so may come behind the cell's reply, which has a way of its own.
		if (this.#stop === stop) this.#resumed();
	}

	/** Stops the thread at the next of the user's statements. */
	async pause(): Promise<void> {
		if (this.#stop) return;
		this.#steps.pause();
		await this.inspector.post("Debugger.pause");
	}

	/** Interrupts what runs. */
	interrupt(): void {
		this.#worker.interrupt();
	}

	/** Takes a line from the worker. */
	receive(line: string): void {
		this.inspector.receive(line);
	}

	/** Goes over to the worker that takes the place of one that died. */
	workerDied(): void {
		this.inspector.abandon();
		this.sources.forgetScripts();
		this.#resumed();
		if (!this.#attached) return;
		const departures = this.#departures;
		const ready = this.#connect(departures).catch(() => {
			if (this.#ready !== ready || departures !== this.#departures) return;
			this.#attached = false;
			this.#publish("terminated", {});
		});
		this.#ready = ready;
	}

	/** Settles when the debugger holds the worker that took the place of one that died: cells wait for it. */
	get ready(): Promise<void> {
		return this.#ready;
	}

	async #connect(departures: number): Promise<void> {
		const known: string[] = [];
		const steps: (() => Promise<unknown>)[] = [
			() => this.inspector.post("open"),
			() => {
				this.#parsed = (url, scriptId) => known.push(url, scriptId);
				return this.inspector.post("Debugger.enable");
			},
			() => {
				this.#parsed = undefined;
				return noteCells(this.inspector, this.sources, known);
			},
			() => this.inspector.post("Debugger.setInstrumentationBreakpoint", { instrumentation }),
			() => this.#filters.apply(this.inspector),
			() => this.breakpoints.bindAgain(),
		];
		this.#waiting = Promise.resolve();
		this.#numConnecting++;
		try {
			for (const step of steps) {
				await step();
				this.#checkStays(departures);
			}
		} catch (error) {
			// What the inspector says whose session was closed meanwhile tells nobody why.
			this.#checkStays(departures);
			throw error;
		} finally {
			this.#numConnecting--;
			this.#parsed = undefined;
		}
	}

	#checkStays(departures: number): void {
		if (departures !== this.#departures)
			throw failure("Expected a client that stays but it has disconnected meanwhile");
	}

	#event(method: string, params: unknown): void {
		if (method === "Debugger.scriptParsed") {
			const { scriptId, url } = params as { scriptId: string; url: string };
			if (isUserFile(url)) this.sources.addFile(scriptId, url);
			this.#parsed?.(url, scriptId);
		} else if (method === "Debugger.paused") {
			this.#waiting = this.#waiting.then(() => this.#paused(params as Paused)).catch(() => this.#giveUp());
		} else if (method === "Debugger.resumed") {
			this.#waiting = this.#waiting.then(() => this.#resumed());
		}
	}

	async #paused(event: Paused): Promise<void> {
		const given: PausedReason[] =
			event.reason === "ambiguous"
				? (event.data?.reasons ?? [])
				: [{ reason: event.reason, ...(event.data && { auxData: event.data }) }];
		const reasons = given.filter(({ reason }) => reason !== "instrumentation");
		for (const { reason, auxData } of given) {
			if (reason === "instrumentation" && auxData) await this.#arrived(auxData.scriptId ?? "", auxData.url ?? "");
		}
		if (reasons.length === 0) {
			await this.#onward();
			return;
		}
		const stop = new Stop(event, this.sources, this.inspector, this.#nextFrameId);
		const why = await this.#steps.why(stop, reasons, this.sources, this.#filters);
		if (why === "onward") {
			await this.#onward();
		} else if (why === "out" || why === "over") {
			await this.inspector.post(why === "out" ? "Debugger.stepOut" : "Debugger.stepOver");
		} else {
			this.#stop = stop;
			this.#steps.end();
			this.#nextFrameId += stop.frames.length;
			const hitBreakpointIds = this.breakpoints.hit(event.hitBreakpoints ?? []);
			const text = why === "exception" ? event.data?.description?.split("\n")[0] : undefined;
			this.#publish("stopped", {
				reason: why,
				threadId,
				allThreadsStopped: true,
				...(hitBreakpointIds.length > 0 && { hitBreakpointIds }),
				...(text !== undefined && { text }),
			});
		}
	}

	/** Goes on from a stop that is none for the user; V8 takes it for the pause that was asked for. */
	async #onward(): Promise<void> {
		await this.inspector.post("Debugger.resume");
		if (this.#steps.pausing) await this.inspector.post("Debugger.pause");
	}

	async #arrived(scriptId: string, url: string): Promise<void> {
		if (!isCell(url) && !isUserFile(url)) return;
		const [source] = await callTools<KnownSource[]>(this.inspector, "sources", [{ value: [url] }]);
		if (source) await this.breakpoints.arrive(this.sources.addMade(scriptId, source));
	}

	#resumed(): void {
		if (!this.#stop) return;
		this.#stop = undefined;
		this.#publish("continued", { threadId, allThreadsContinued: true });
	}

	/** A stop that could not be looked at must not hold the cell. */
	#giveUp(): void {
		this.inspector.post("Debugger.resume").catch(() => {});
	}
}
