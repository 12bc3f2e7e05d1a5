// execute_request: runs a cell in the worker, and reports its result or error.

import { WorkerDied } from "../cell/worker-died.js";
import type { ExecuteOutcome, WorkerProcess } from "../cell/worker-process.js";
import { parseExecuteRequest, type ReplyContent } from "../protocol/messages.js";
import type { Outlet } from "../protocol/outlet.js";
import type { Answer, Handler } from "../protocol/router.js";
import type { Message } from "../wire/frames.js";
import type { History } from "./history.js";

/** Told of each cell. */
export interface ExecutionWatcher {
	/** It begins; it runs when the promise settles. */
	begins(): Promise<void>;
	/** It is over, whatever came of it; its reply has not been sent. */
	ended(): void;
}

/** Counts and runs cells. */
export class Executions {
	readonly #worker: WorkerProcess;
	readonly #outlet: Outlet;
	readonly #history: History;
	readonly #watcher: ExecutionWatcher;
	#count = 0;
	#current: Message | undefined;
	#silent = false;
	/** Ends the wait of a cell that may not run yet. */
	#interruptWait: (() => void) | undefined;

	constructor(worker: WorkerProcess, outlet: Outlet, history: History, watcher: ExecutionWatcher) {
		this.#worker = worker;
		this.#outlet = outlet;
		this.#history = history;
		this.#watcher = watcher;
	}

	/** The request whose outputs arrive now: the running cell's, or the last one's for what it left in the background. */
	get current(): Message | undefined {
		return this.#current;
	}

	/** True while a silent cell runs: nothing of it is broadcast. */
	get silent(): boolean {
		return this.#silent;
	}

	/** The reply of a cell that is not run because one before it failed. */
	readonly aborted = (): ReplyContent => ({ status: "aborted", execution_count: this.#count });

	/** Handles `execute_request`. */
	readonly handle: Handler = async (request) => {
		const asked = parseExecuteRequest(request.content);
		if (asked.store_history) this.#count++;
		const count = this.#count;
		this.#current = request;
		this.#silent = asked.silent;
		const mayRun = this.#watcher.begins();
		if (!asked.silent) this.#outlet.publish("execute_input", { code: asked.code, execution_count: count }, request);
		if (asked.store_history) this.#history.add(count, asked.code);
		const cellId = request.metadata.cellId;
		const outcome = await this.#run(mayRun, {
			code: asked.code,
			count,
			silent: asked.silent,
			cell: typeof cellId === "string" ? cellId : asked.code,
			expressions: asked.user_expressions,
			stdin: asked.allow_stdin,
		});
		this.#watcher.ended();
		this.#silent = false;
		if (outcome.error) {
			if (!asked.silent) this.#outlet.publish("error", { ...outcome.error }, request);
			return {
				content: { status: "error", execution_count: count, ...outcome.error, user_expressions: {}, payload: [] },
				abortQueue: asked.stop_on_error,
			} satisfies Answer;
		}
		if (outcome.content) {
			this.#outlet.publish("execute_result", outcome.content, request);
			if (asked.store_history && outcome.text !== undefined) this.#history.addOutput(count, outcome.text);
		}
		const user_expressions = outcome.expressions;
		return { content: { status: "ok", execution_count: count, user_expressions, payload: [] } };
	};

	/** Stops the running cell, also where it has not come to the worker yet; its variables stay. */
	interrupt(): void {
		this.#interruptWait?.();
		this.#worker.interrupt();
	}

	async #run(
		mayRun: Promise<void>,
		cell: {
			code: string;
			count: number;
			silent: boolean;
			cell: string;
			expressions: Record<string, string>;
			stdin: boolean;
		},
	): Promise<ExecuteOutcome> {
		const interrupted = new Promise<true>((resolve) => {
			this.#interruptWait = () => resolve(true);
		});
		const isInterrupted = await Promise.race([mayRun, interrupted]);
		this.#interruptWait = undefined;
		if (isInterrupted) return failed("Interrupted", "The cell was interrupted.");
		try {
			return await this.#worker.execute({ method: "execute", ...cell });
		} catch (error) {
			return failed(error instanceof WorkerDied ? error.name : "KernelError", (error as Error).message);
		}
	}
}

function failed(ename: string, evalue: string): ExecuteOutcome {
	const traceback = [`\u001b[31m${ename}\u001b[39m: ${evalue}`];
	return { error: { ename, evalue, traceback }, expressions: {} };
}
