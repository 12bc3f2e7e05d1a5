// Runs a notebook's code cells in order on a kernel of a Jupyter server and collects what they show. The notebook given
// is left alone; the result is a new one, also when a cell fails on the way.

import type { Kernel } from "@jupyterlab/services";
import { type ServerAddress, startKernel } from "./connect.js";
import type { Cell, Notebook, Output } from "./notebook.js";
import { DisplayRegistry, OutputCollector } from "./outputs.js";

/** How to run a notebook. */
export interface RunOptions {
	server: ServerAddress;
	/** Kernelspec; default the notebook's own, else the server's default. */
	kernelName?: string | undefined;
	/** Longest that a cell may run, in seconds; default no limit. */
	cellTimeoutS?: number | undefined;
	/** Go on after a cell that fails; default false. A cell tagged `raises-exception` may always fail. */
	allowErrors?: boolean | undefined;
	/** Interrupts the running cell and ends the run. */
	signal?: AbortSignal | undefined;
	/** Told before each code cell and after it. */
	progress?: RunProgress | undefined;
}

/** What a run tells while it goes; `index` counts code cells from 0. */
export interface RunProgress {
	kernelReady?(name: string, startMs: number): void;
	cellStarts?(index: number, numCells: number, cell: Cell): void;
	cellEnded?(index: number, numCells: number, durationMs: number): void;
}

/** A cell that did not succeed. */
export interface CellFailure {
	cell: Cell;
	/** Position among all cells, from 1, as a reader of the file counts. */
	number: number;
	reason: "error" | "timeout" | "kernel died" | "interrupted";
	ename: string;
	evalue: string;
	traceback: string[];
}

/** What a run gives. */
export interface RunResult {
	/** The notebook with its outputs. */
	notebook: Notebook;
	/** Code cells that ran. */
	numCells: number;
	durationMs: number;
	/** The failure that ended the run; undefined when every cell ran. */
	failure: CellFailure | undefined;
}

const interruptGraceMs = 5000;

/**
 * Runs a notebook.
 *
 * @throws {OctavoError} what `startKernel` throws; a failing cell is a result, not an exception
 */
export async function runNotebook(source: Notebook, options: RunOptions): Promise<RunResult> {
	const started = performance.now();
	const notebook = structuredClone(source);
	const cells = notebook.cells.filter(isRunnable);
	for (const cell of notebook.cells)
		if (cell.cell_type === "code") Object.assign(cell, { outputs: [], execution_count: null });
	const kernel = await startKernel(options.server, options.kernelName ?? notebook.metadata.kernelspec?.name);
	const displays = new DisplayRegistry();
	let failure: CellFailure | undefined;
	let numCells = 0;
	try {
		const ready = await orStopped(kernel.connection, options.signal, kernel.connection.info);
		if (typeof ready === "string") {
			const cell = cells[0];
			if (cell) failure = describe(notebook, cell, ready, []);
		} else {
			notebook.metadata.language_info = ready.language_info as { name: string };
			options.progress?.kernelReady?.(kernel.connection.name, performance.now() - started);
		}
		for (const [index, cell] of cells.entries()) {
			if (failure) break;
			options.progress?.cellStarts?.(index, cells.length, cell);
			const cellStarted = performance.now();
			failure = await runCell(kernel.connection, notebook, cell, displays, options);
			numCells++;
			options.progress?.cellEnded?.(index, cells.length, performance.now() - cellStarted);
		}
	} finally {
		await kernel.dispose();
	}
	return { notebook, numCells, durationMs: performance.now() - started, failure };
}

function isRunnable(cell: Cell): boolean {
	return cell.cell_type === "code" && cell.source.trim() !== "" && !tags(cell).includes("skip-execution");
}

function tags(cell: Cell): unknown[] {
	return Array.isArray(cell.metadata.tags) ? cell.metadata.tags : [];
}

async function runCell(
	kernel: Kernel.IKernelConnection,
	notebook: Notebook,
	cell: Cell,
	displays: DisplayRegistry,
	options: RunOptions,
): Promise<CellFailure | undefined> {
	const collector = new OutputCollector(displays);
	cell.outputs = collector.outputs;
	const future = kernel.requestExecute({ code: cell.source, allow_stdin: false, stop_on_error: true });
	future.onIOPub = (message) => collector.take(message);
	// A kernel that dies cancels the future; orStopped reports it by name.
	const done = future.done.catch(() => "kernel died" as const);
	let ended = await orStopped(kernel, options.signal, done, options.cellTimeoutS);
	if (ended === "timeout" || ended === "interrupted") {
		const reason = ended;
		await kernel.interrupt().catch(() => undefined);
		await Promise.race([done, new Promise((resolve) => setTimeout(resolve, interruptGraceMs).unref())]);
		ended = reason;
	}
	if (typeof ended === "string") return describe(notebook, cell, ended, cell.outputs, options.cellTimeoutS);
	cell.execution_count = ended.content.execution_count ?? null;
	if (ended.content.status === "ok" || options.allowErrors || tags(cell).includes("raises-exception")) return undefined;
	const { ename, evalue, traceback } = ended.content as { ename?: string; evalue?: string; traceback?: string[] };
	const shown = {
		output_type: "error" as const,
		ename: ename ?? "Error",
		evalue: evalue ?? "",
		traceback: traceback ?? [],
	};
	return describe(notebook, cell, "error", [shown]);
}

type Stop = "timeout" | "kernel died" | "interrupted";

/** Awaits the work, or the first thing that makes waiting pointless. */
async function orStopped<T>(
	kernel: Kernel.IKernelConnection,
	signal: AbortSignal | undefined,
	work: Promise<T>,
	timeoutS?: number,
): Promise<T | Stop> {
	let timer: NodeJS.Timeout | undefined;
	let stop: (why: Stop) => void = () => undefined;
	const stopped = new Promise<Stop>((resolve) => {
		stop = resolve;
	});
	const onStatus = (_: unknown, status: Kernel.Status) => {
		if (status === "dead" || status === "autorestarting") stop("kernel died");
	};
	const onConnection = (_: unknown, status: Kernel.ConnectionStatus) => {
		if (status === "disconnected") stop("kernel died");
	};
	const onAbort = () => stop("interrupted");
	kernel.statusChanged.connect(onStatus);
	kernel.connectionStatusChanged.connect(onConnection);
	signal?.addEventListener("abort", onAbort);
	if (timeoutS !== undefined) timer = setTimeout(() => stop("timeout"), timeoutS * 1000);
	if (signal?.aborted) onAbort();
	try {
		return await Promise.race([work, stopped]);
	} finally {
		clearTimeout(timer);
		signal?.removeEventListener("abort", onAbort);
		kernel.statusChanged.disconnect(onStatus);
		kernel.connectionStatusChanged.disconnect(onConnection);
	}
}

function describe(
	notebook: Notebook,
	cell: Cell,
	reason: CellFailure["reason"],
	outputs: readonly Output[],
	timeoutS?: number,
): CellFailure {
	const error = outputs.find((output) => output.output_type === "error");
	const said: Record<CellFailure["reason"], string> = {
		error: "",
		timeout: `The cell ran longer than ${timeoutS} s`,
		"kernel died": "The kernel died while the cell ran",
		interrupted: "The run was interrupted",
	};
	return {
		cell,
		number: notebook.cells.indexOf(cell) + 1,
		reason,
		ename: reason === "error" ? (error?.ename ?? "Error") : reason,
		evalue: reason === "error" ? (error?.evalue ?? "") : said[reason],
		traceback: error?.traceback ?? [],
	};
}
