#!/usr/bin/env node
// The command line. Each command is a file of commands/ that loads what it needs only when it runs: a kernel must not
// wait for a server's packages.

import { Command } from "commander";
import { OctavoError } from "../sdk/errors.js";
import { register as demo } from "./commands/demo.js";
import { register as figures } from "./commands/figures.js";
import { register as install } from "./commands/install.js";
import { register as kernel } from "./commands/kernel.js";
import { register as run } from "./commands/run.js";
import { register as server } from "./commands/server.js";
import { register as simulate } from "./commands/simulate.js";

async function main(): Promise<void> {
	const program = new Command("octavo").description(
		"A TypeScript Jupyter kernel and research SDK over a native engine",
	);
	for (const register of [install, kernel, run, server, simulate, figures, demo]) register(program);
	try {
		await program.parseAsync();
	} catch (error) {
		if (!(error instanceof OctavoError)) throw error;
		console.error(`octavo: ${error.message} [${error.code}]`);
		process.exitCode = 1;
	}
}

void main();
