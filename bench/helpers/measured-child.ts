// Runs a program to its end and watches its peak memory. The kernel's own peak counter is read while the program lives, so
// pages of mapped files that it touched count, as they do for every engine.

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";

/** What a finished program left. */
export interface ChildResult {
	stdout: string;
	/** Highest resident memory seen, in bytes; 0 where the system does not tell. */
	peakBytes: number;
}

/** Peak resident memory of a process in bytes, 0 when it is gone or the system does not tell. */
function peakOf(pid: number): number {
	try {
		const line = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
		return Number(line?.[1] ?? 0) * 1024;
	} catch {
		return 0;
	}
}

/** @throws an Error with the program's last words when it fails */
export async function runMeasured(program: string, args: readonly string[], cwd?: string): Promise<ChildResult> {
	const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], ...(cwd !== undefined && { cwd }) });
	let stdout = "";
	let stderr = "";
	let peakBytes = 0;
	child.stdout.setEncoding("utf8").on("data", (text: string) => {
		stdout += text;
	});
	child.stderr.setEncoding("utf8").on("data", (text: string) => {
		stderr = (stderr + text).slice(-4000);
	});
	const stop = () => child.kill();
	process.once("exit", stop);
	const watch = setInterval(() => {
		if (child.pid !== undefined) peakBytes = Math.max(peakBytes, peakOf(child.pid));
	}, 20);
	try {
		const status = await new Promise<number | null>((resolve, reject) => {
			child.once("error", reject);
			child.once("close", resolve);
		});
		if (status !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${status}: ${stderr.trim()}`);
		return { stdout, peakBytes };
	} finally {
		clearInterval(watch);
		process.off("exit", stop);
	}
}
