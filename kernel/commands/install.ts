// octavo install: makes Jupyter see this kernel, and makes its first start fast.

import type { Command } from "commander";
import { installKernelSpec } from "../kernelspec.js";

/** Adds the command. */
export function register(program: Command): void {
	program
		.command("install")
		.description("install the kernelspec, so that Jupyter offers Octavo")
		.option("--user", "for this user (the default)")
		.option("--prefix <dir>", "below DIR/share/jupyter, such as a virtual environment or /usr/local")
		.option("--no-snapshot", "leave the snapshot that makes starts fast to the first kernel")
		.action(async ({ user, prefix, snapshot }: Options, command: Command) => {
			if (user && prefix !== undefined) command.error("error: expected --user or --prefix but received both");
			console.log(`Installed the kernelspec octavo in ${installKernelSpec(prefix)}`);
			if (snapshot) await prepare();
		});
}

interface Options {
	user?: boolean;
	prefix?: string;
	snapshot: boolean;
}

/** Makes the snapshot; the kernel works without one, so nothing here fails the command. */
async function prepare(): Promise<void> {
	const { prepareSnapshot } = await import("../cell/prepare-snapshot.js");
	const begin = performance.now();
	const prepared = await prepareSnapshot((what) => console.log(`Preparing the first start: ${what} …`));
	const seconds = ((performance.now() - begin) / 1000).toFixed(1);
	if (prepared === "made") console.log(`Prepared in ${seconds} s.`);
	else if (prepared === "none" && process.env.OCTAVO_SNAPSHOT !== "0") {
		console.log("Not prepared; kernels work all the same, and start more slowly.");
	}
}
