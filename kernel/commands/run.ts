// octavo run: executes a notebook with no front end. It exits with 1 at the first cell that fails, with 2 when the
// notebook or the server is no good, with 130 after Ctrl-C.

import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import type { RunCommandOptions } from "../client/run-command.js";

type Options = Omit<RunCommandOptions, "notebook" | "kernelEnv" | "onResult">;

/** Adds the command. */
export function register(program: Command): void {
	program
		.command("run")
		.description("execute a notebook, here or on another Jupyter server")
		.argument("<notebook>", "the .ipynb file; it is not changed unless --output names it")
		.option("-o, --output <file>", "write the executed notebook")
		.option("--html <file>", "write it as one HTML page that opens offline")
		.option("--server <url>", "run on this Jupyter server (default: one started for the run)")
		.option("--token <token>", "token of that server (default: the one in its URL, or OCTAVO_TOKEN)")
		.option("--kernel <name>", "kernelspec to use (default: the notebook's)")
		.option("--timeout <seconds>", "longest that one cell may run (default: no limit)", parseSeconds)
		.option("--allow-errors", "go on after a cell that fails")
		.action(async (notebook: string, options: Options) => {
			const { runCommand } = await import("../client/run-command.js");
			process.exitCode = await runCommand({ notebook, ...options });
		});
}

function parseSeconds(text: string): number {
	const seconds = Number(text);
	if (!(seconds > 0 && seconds <= 1_000_000)) {
		throw new InvalidArgumentError("Expected a number of seconds above 0, at most 1000000.");
	}
	return seconds;
}
