// Debian's Jupyter programs with this kernel installed in a folder of the test's own, so that nothing of the user's
// configuration takes part.

import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { executablePath } from "../helpers/browser.js";

/** Where Debian installs what the front ends need. */
export const programs = { python: "/usr/bin/python3", chromium: executablePath };

/** Says why a front end cannot be tried here; false when it can. */
export function missing(pythonModule: string, ...files: string[]): string | false {
	const absent = files.find((file) => !existsSync(file));
	if (absent !== undefined) return `${absent} is absent`;
	const found = spawnSync(programs.python, ["-c", `import ${pythonModule}`], { stdio: "ignore" });
	return found.status === 0 ? false : `Python has no ${pythonModule}`;
}

/** Installs the kernelspec below `folder` and gives the environment in which Jupyter sees it. */
export function jupyterEnvironment(folder: string): NodeJS.ProcessEnv {
	const main = fileURLToPath(new URL("../../kernel/main.js", import.meta.url));
	execFileSync(process.execPath, [main, "install", "--no-snapshot", "--prefix", folder]);
	return {
		...process.env,
		JUPYTER_PATH: join(folder, "share", "jupyter"),
		JUPYTER_CONFIG_DIR: join(folder, "config"),
		JUPYTER_RUNTIME_DIR: join(folder, "runtime"),
		JUPYTER_DATA_DIR: join(folder, "data"),
		IPYTHONDIR: join(folder, "ipython"),
		HOME: folder,
	};
}

/** Writes a notebook for the kernel `octavo`, with these code cells. */
export function writeNotebook(path: string, sources: readonly string[]): void {
	const cells = sources.map((source, i) => ({
		cell_type: "code",
		id: `cell-${i}`,
		source,
		metadata: {},
		outputs: [],
		execution_count: null,
	}));
	const kernelspec = { name: "octavo", display_name: "Octavo (TypeScript)", language: "typescript" };
	writeFileSync(path, JSON.stringify({ cells, metadata: { kernelspec }, nbformat: 4, nbformat_minor: 5 }));
}
