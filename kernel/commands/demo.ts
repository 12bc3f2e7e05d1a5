// octavo demo: runs the walkthrough and leaves the executed notebook, a page and the trace in a folder. `npm start` ends
// here.

import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import type { Command } from "commander";
import { packageRoot } from "../cell/packages.js";

const walkthrough = "step-paged-attention";

/** Adds the command. */
export function register(program: Command): void {
	program
		.command("demo")
		.description("run the walkthrough of paged attention and write what it shows")
		.option("--out <dir>", "folder for the results", "out")
		.action(async ({ out }: { out: string }) => {
			process.exitCode = await demo(resolve(out));
		});
}

async function demo(folder: string): Promise<number> {
	const { exitStatus, runCommand } = await import("../client/run-command.js");
	const notebook = join(packageRoot, "notebooks", `${walkthrough}.ipynb`);
	mkdirSync(folder, { recursive: true });
	for (const file of results(folder)) rmSync(file, { recursive: true });
	console.log(`Running ${relative(process.cwd(), notebook)} headless, on the CPU of this machine`);
	const started = performance.now();
	const status = await runCommand({
		notebook,
		output: join(folder, `${walkthrough}.ipynb`),
		html: join(folder, `${walkthrough}.html`),
		kernelEnv: { OCTAVO_OUT: folder },
	});
	if (status !== exitStatus.ok) return status;
	console.log(`\nDone in ${((performance.now() - started) / 1000).toFixed(1)} s. In ${folder}:`);
	for (const file of results(folder)) console.log(`  ${describe(file, folder)}`);
	console.log(`\nOpen ${join(folder, `${walkthrough}.html`)} in a browser.`);
	console.log("To use the kernel in Jupyter: npx octavo install --user");
	return status;
}

function results(folder: string): string[] {
	if (!existsSync(folder)) return [];
	const names = readdirSync(folder).filter(
		(name) => name.startsWith(`${walkthrough}.`) || name.startsWith(`${walkthrough}-`),
	);
	return names.sort().map((name) => join(folder, name));
}

function describe(file: string, folder: string): string {
	const meaning: Record<string, string> = {
		ipynb: "the executed notebook",
		html: "a page that opens offline",
		arrow: "one table of the trace, as an Arrow file",
	};
	const name = relative(folder, file);
	const kib = Math.ceil(statSync(file).size / 1024).toLocaleString("en-US");
	return `${name.padEnd(48)} ${kib.padStart(7)} KiB  ${meaning[name.split(".").at(-1)!] ?? ""}`;
}
