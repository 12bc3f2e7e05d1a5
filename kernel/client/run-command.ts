// One run from the command line: server, notebook, progress, files, exit status. Whatever happens, the kernel and the
// server started here are gone when it returns.

import { basename, dirname, resolve } from "node:path";
import { OctavoError } from "../../sdk/errors.js";
import { OctavoServer } from "../server/server.js";
import { failureText } from "./failure-text.js";
import { notebookToHtml } from "./html.js";
import { checkWritable, formatNotebook, readNotebook, writeWhole } from "./notebook.js";
import { showProgress } from "./progress.js";
import { type RunResult, runNotebook } from "./run-notebook.js";

/** What to run, and what to make of it. */
export interface RunCommandOptions {
	notebook: string;
	/** File for the executed notebook; default none. */
	output?: string;
	/** File for the page; default none. */
	html?: string;
	/** URL of another server; default: one is started for the run. */
	server?: string;
	token?: string;
	kernel?: string;
	/** Longest that one cell may run, in seconds; default no limit. */
	timeout?: number;
	/** Default false. */
	allowErrors?: boolean;
	/** Environment variables for the kernel of a server started here; default none. */
	kernelEnv?: Record<string, string>;
	/** Told of the result before this returns. */
	onResult?: (result: RunResult) => void;
}

/** Exit statuses. */
export const exitStatus = { ok: 0, cellFailed: 1, badInput: 2, interrupted: 130 } as const;

const keptLogLength = 8000;

/** Runs a notebook and gives the exit status; everything is reported on stderr and stdout. */
export async function runCommand(options: RunCommandOptions): Promise<number> {
	// The services package tells of each WebSocket and of each restart on the console; the run reports its own way.
	console.debug = console.warn = () => undefined;
	const stop = new AbortController();
	const onSignal = () => stop.abort();
	const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
	for (const signal of signals) process.on(signal, onSignal);
	const progress = showProgress(process.stderr);
	let kernelLog = "";
	let server: OctavoServer | undefined;
	try {
		const notebook = readNotebook(options.notebook);
		for (const file of [options.output, options.html]) if (file !== undefined) checkWritable(file);
		if (options.server === undefined) {
			server = await OctavoServer.start({
				root: dirname(resolve(options.notebook)),
				// What a script runs is no part of the user's history.
				kernelEnv: { OCTAVO_HISTORY: "0", ...options.kernelEnv },
				log: (text) => {
					kernelLog = (kernelLog + text).slice(-keptLogLength);
				},
			});
		}
		const result = await runNotebook(notebook, {
			server: server ?? { url: options.server!, token: options.token ?? process.env.OCTAVO_TOKEN },
			kernelName: options.kernel,
			cellTimeoutS: options.timeout,
			allowErrors: options.allowErrors,
			signal: stop.signal,
			progress,
		});
		progress.stop();
		writeFiles(result, options);
		options.onResult?.(result);
		return report(result, options.notebook, kernelLog);
	} catch (error) {
		progress.stop();
		if (!(error instanceof OctavoError)) throw error;
		process.stderr.write(`octavo: ${error.message} [${error.code}]\n`);
		return exitStatus.badInput;
	} finally {
		await server?.close();
		for (const signal of signals) process.off(signal, onSignal);
	}
}

function writeFiles(result: RunResult, options: RunCommandOptions): void {
	if (options.output !== undefined) writeWhole(options.output, formatNotebook(result.notebook));
	if (options.html !== undefined) {
		const seconds = (result.durationMs / 1000).toFixed(1);
		writeWhole(
			options.html,
			notebookToHtml(result.notebook, {
				title: basename(options.notebook, ".ipynb"),
				folder: dirname(resolve(options.notebook)),
				footer: `Run by octavo on ${new Date().toISOString().slice(0, 10)} in ${seconds} s.`,
			}),
		);
	}
}

function report({ failure, numCells, durationMs }: RunResult, path: string, kernelLog: string): number {
	const seconds = (durationMs / 1000).toFixed(1);
	if (!failure) {
		process.stderr.write(`${path}: ${numCells} cells in ${seconds} s\n`);
		return exitStatus.ok;
	}
	const colors = process.stderr.isTTY === true && process.env.NO_COLOR === undefined;
	process.stderr.write(`${failureText(failure, { path, colors })}\n`);
	if (failure.reason === "kernel died" && kernelLog.trim() !== "") {
		process.stderr.write(`\nThe kernel's process said:\n${kernelLog.trim()}\n`);
	}
	return failure.reason === "interrupted" ? exitStatus.interrupted : exitStatus.cellFailed;
}
