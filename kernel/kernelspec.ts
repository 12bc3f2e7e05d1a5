// The kernelspec by which Jupyter finds and starts this kernel, and where Jupyter looks for it. Paths are absolute: a
// front end started from a desktop has neither this shell's PATH nor its version manager.

import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { packageRoot } from "./cell/packages.js";
import { frontEnv } from "./cell/worker-env.js";

/** Name of the kernelspec, as notebooks record it. */
export const kernelName = "octavo";

/** Content of a kernel.json. */
export interface KernelSpec {
	argv: string[];
	display_name: string;
	language: string;
	interrupt_mode: "message" | "signal";
	metadata: Record<string, unknown>;
	env?: Record<string, string>;
}

/** Gives the kernelspec for this installation; `{connection_file}` in `argv` is what a launcher fills in. */
export function kernelSpec(): KernelSpec {
	return {
		argv: [
			process.execPath,
			join(packageRoot, "dist", "kernel", "main.js"),
			"kernel",
			"--connection-file",
			"{connection_file}",
		],
		display_name: "Octavo (TypeScript)",
		language: "typescript",
		interrupt_mode: "message",
		metadata: { debugger: true },
		env: frontEnv,
	};
}

/** Folder with the kernelspec's logo. */
export const logoFolder = join(packageRoot, "kernel", "logo");

/** Gives the user's Jupyter data folder, by Jupyter's own rules. */
export function jupyterDataDir(env: NodeJS.ProcessEnv = process.env, platform = process.platform): string {
	if (env.JUPYTER_DATA_DIR) return env.JUPYTER_DATA_DIR;
	const home = env.HOME || homedir();
	if (platform === "darwin") return join(home, "Library", "Jupyter");
	if (platform === "win32") return join(env.APPDATA || join(home, "AppData", "Roaming"), "jupyter");
	return join(env.XDG_DATA_HOME || join(home, ".local", "share"), "jupyter");
}

/**
 * Writes the kernelspec.
 *
 * @param prefix install below `PREFIX/share/jupyter`; default: the user's Jupyter data folder
 * @returns the folder written
 */
export function installKernelSpec(prefix?: string): string {
	const data = prefix === undefined ? jupyterDataDir() : join(resolve(prefix), "share", "jupyter");
	const folder = join(data, "kernels", kernelName);
	rmSync(folder, { recursive: true, force: true });
	mkdirSync(folder, { recursive: true });
	cpSync(logoFolder, folder, { recursive: true });
	writeFileSync(join(folder, "kernel.json"), `${JSON.stringify(kernelSpec(), null, "\t")}\n`);
	return folder;
}
