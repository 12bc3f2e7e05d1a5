// octavo kernel: what a Jupyter server starts by the kernelspec.

import type { Command } from "commander";

/** Adds the command. */
export function register(program: Command): void {
	program
		.command("kernel")
		.description("serve one Jupyter kernel (started by Jupyter, by the installed kernelspec)")
		.requiredOption("--connection-file <file>", "connection file that Jupyter wrote")
		.action(async ({ connectionFile }: { connectionFile: string }) => {
			const { readConnectionFile } = await import("../wire/connection.js");
			const connection = readConnectionFile(connectionFile);
			const { startKernel } = await import("../kernel.js");
			await startKernel(connection);
		});
}
