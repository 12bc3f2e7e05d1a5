// The kernel as a user installs it, which makes the snapshot that every start uses.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Installs the kernel for a moment.
 *
 * @param folder this package's
 * @returns what the kernelspec says
 */
export function installKernel(folder: string): { argv: string[]; env: NodeJS.ProcessEnv } {
	const scratch = mkdtempSync(join(tmpdir(), "octavo-bench-"));
	try {
		spawnSync(process.execPath, [join(folder, "dist", "kernel", "main.js"), "install", "--prefix", scratch], {
			stdio: ["ignore", 2, 2],
		});
		const { argv, env } = JSON.parse(
			readFileSync(join(scratch, "share", "jupyter", "kernels", "octavo", "kernel.json"), "utf8"),
		);
		return { argv, env };
	} finally {
		rmSync(scratch, { recursive: true });
	}
}
