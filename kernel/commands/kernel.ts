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
			// The worker takes longest to get ready: it starts before this process loads ZeroMQ.
			const { WorkerProcess } = await import("../cell/worker-process.js");
			const worker = new WorkerProcess();
			const { startKernel } = await import("../kernel.js");
			await startKernel(connection, worker);
		});
}
