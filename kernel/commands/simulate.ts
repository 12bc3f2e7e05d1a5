// octavo simulate: predicts training runs on a hardware profile.

import type { Command } from "commander";

/** Adds the command. */
export function register(program: Command): void {
	program
		.command("simulate")
		.description("predict the phases of offloaded training runs on a hardware profile")
		.requiredOption("--runs <file>", "CSV file of runs, one a line, with a header")
		.option("--profile <name>", "h100-4x, a100-4x-bound, a100-4x-unbound, or auto: each run's own", "auto")
		.option("--output <file>", "CSV file to write; without it the predictions go to standard output")
		.action(async ({ runs, profile, output }: { runs: string; profile: string; output?: string }) => {
			const { readFileSync, writeFileSync } = await import("node:fs");
			const { hardware, OctavoError } = await import("../../sdk/index.js");
			const access = <T>(path: string, use: () => T): T => {
				try {
					return use();
				} catch (error) {
					const reason = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
					throw new OctavoError("ERR_OCTAVO_FILE", `Expected to access ${path} but received ${reason}`);
				}
			};
			const text = access(runs, () => readFileSync(runs, "utf8"));
			const predictions = hardware.simulateRuns(text, profile);
			if (output === undefined) process.stdout.write(predictions);
			else access(output, () => writeFileSync(output, predictions));
		});
}
