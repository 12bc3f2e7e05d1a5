// octavo install: makes Jupyter see this kernel.

import type { Command } from "commander";
import { installKernelSpec } from "../kernelspec.js";

/** Adds the command. */
export function register(program: Command): void {
	program
		.command("install")
		.description("install the kernelspec, so that Jupyter offers Octavo")
		.option("--user", "for this user (the default)")
		.option("--prefix <dir>", "below DIR/share/jupyter, such as a virtual environment or /usr/local")
		.action(({ user, prefix }: { user?: boolean; prefix?: string }, command: Command) => {
			if (user && prefix !== undefined) command.error("error: expected --user or --prefix but received both");
			console.log(`Installed the kernelspec octavo in ${installKernelSpec(prefix)}`);
		});
}
