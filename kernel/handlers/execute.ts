// execute_request: runs a cell in the worker, and reports its result or error.

import { WorkerDied } from "../cell/worker-died.js";
import type { CellToRun, ExecuteOutcome, WorkerProcess } from "../cell/worker-process.js";
import { parseExecuteRequest, type ReplyContent } from "../protocol/messages.js";
import type { Outlet, StreamName } from "../protocol/outlet.js";
import { OutputLimit, outputLimit } from "../protocol/output-limit.js";
import type { Answer, Handler } from "../protocol/router.js";
import type { Message } from "../wire/frames.js";
import type { History } from "./history.js";

/** Told of each cell. */
export interface ExecutionWatcher {
	/** It begins; it runs when the promise settles. */
	begins(): Promise<void>;
	/** It is over, whatever came of it; its reply has not been sent. */
	ended(request: Message): void;
}

/** A shell's newest cell. */
export interface Execution {
	/** The request whose outputs arrive now: the running cell's, or the last one's for what it left in the background. */
	readonly request: Message | undefined;
	/** True while a silent cell runs: nothing of it is broadcast. */
	silent: boolean;
	/** Shows what it prints. */
	readonly limit: OutputLimit;
	isRunning: boolean;
	/** Its subshell was deleted while it ran. */
	isLast?: boolean;
	/** Ends the wait of a cell that may not run yet. */
	interruptWait?: (() => void) | undefined;
}

/** Counts and runs cells. */
export class Executions {
	readonly #worker: WorkerProcess;
	readonly #outlet: Outlet;
	readonly #history: History;
	readonly #watcher: ExecutionWatcher;
	readonly #outputUnits = outputLimit();
	#count = 0;
	/** By subshell, the parent shell's under undefined; the one that began last is the last. */
	readonly #newest = new Map<string | undefined, Execution>();

	constructor(worker: WorkerProcess, outlet: Outlet, history: History, watcher: ExecutionWatcher) {
		this.#worker = worker;
		this.#outlet = outlet;
		this.#history = history;
		this.#watcher = watcher;
		this.#newest.set(undefined, this.#begin(undefined, false));
	}

	/** The newest cell of a subshell, or of the parent shell where that is gone. */
	of(subshell: string | undefined): Execution {
		return this.#newest.get(subshell) ?? this.#newest.get(undefined)!;
	}

	/** The cell of any shell that began last among those that run; where none runs, among all. */
	get latest(): Execution {
		const all = [...this.#newest.values()];
		return all.findLast(({ isRunning }) => isRunning) ?? all.at(-1)!;
	}

	/** Forgets a subshell that is no more, once its cell has ended. */
	forget(subshell: string): void {
		const newest = this.#newest.get(subshell);
		if (newest?.isRunning) newest.isLast = true;
		else this.#newest.delete(subshell);
	}

	/** The reply of a cell that is not run because one before it failed. */
	readonly aborted = (): ReplyContent => ({ status: "aborted", execution_count: this.#count });

	/** Handles `execute_request`. */
	readonly handle: Handler = async (request) => {
		const asked = parseExecuteRequest(request.content);
		if (asked.store_history) this.#count++;
		const count = this.#count;
		const shell = request.header.subshell_id ?? undefined;
		const execution = this.#begin(request, asked.silent);
		this.#newest.delete(shell);
		this.#newest.set(shell, execution);
		const mayRun = this.#watcher.begins();
		if (!asked.silent) this.#outlet.publish("execute_input", { code: asked.code, execution_count: count }, request);
		if (asked.store_history) this.#history.add(count, asked.code);
		const cellId = request.metadata.cellId;
		const outcome = await this.#run(execution, mayRun, {
			method: "execute",
			code: asked.code,
			count,
			silent: asked.silent,
			cell: typeof cellId === "string" ? cellId : asked.code,
			expressions: asked.user_expressions,
			stdin: asked.allow_stdin,
			...(shell !== undefined && { shell }),
		});
		this.#watcher.ended(request);
		execution.limit.end();
		execution.isRunning = false;
		execution.silent = false;
		if (execution.isLast) this.#newest.delete(shell);
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

	/** Stops the running cells, also those that have not come to the worker yet; their variables stay. */
	interrupt(): void {
		for (const { interruptWait } of this.#newest.values()) interruptWait?.();
		this.#worker.interrupt();
	}

	#begin(request: Message | undefined, silent: boolean): Execution {
		const show = (name: StreamName, text: string) => this.#outlet.stream(name, text, request);
		return { request, silent, limit: new OutputLimit(this.#outputUnits, show), isRunning: request !== undefined };
	}

	async #run(execution: Execution, mayRun: Promise<void>, cell: CellToRun): Promise<ExecuteOutcome> {
		const interrupted = new Promise<true>((resolve) => {
			execution.interruptWait = () => resolve(true);
		});
		const isInterrupted = await Promise.race([mayRun, interrupted]);
		execution.interruptWait = undefined;
		if (isInterrupted) return failed("Interrupted", "The cell was interrupted.");
		try {
			return await this.#worker.execute(cell);
		} catch (error) {
			return failed(error instanceof WorkerDied ? error.name : "KernelError", (error as Error).message);
		}
	}
}

function failed(ename: string, evalue: string): ExecuteOutcome {
	const traceback = [`\u001b[31m${ename}\u001b[39m: ${evalue}`];
	return { error: { ename, evalue, traceback }, expressions: {} };
}
