// Waits until a kernel that was just started answers: a reply on shell proves that it runs, something on iopub that the
// subscription has reached it.

import { OctavoError } from "../../sdk/errors.js";
import type { KernelProcess } from "./kernel-process.js";

/** Longest wait for a kernel's first answer, in milliseconds. */
const startTimeoutMs = 60_000;
/** Time after a reply in which something may come on iopub before it is asked again, in milliseconds. */
const iopubMs = 20;

/** Processes that are tried where ports are taken between their choice and the kernel's start. */
const mostStarts = 3;

/** Whether a process that has ended found a port taken, and another is to be tried after so many. */
export function lacksPort({ tail }: KernelProcess, numStarts: number): boolean {
	return numStarts < mostStarts && /ERR_OCTAVO_BIND|address already in use/i.test(tail);
}

/**
 * Asks until the kernel is heard on both channels.
 *
 * @param name of the kernelspec, for the error
 * @param ask sends a request; settles with its reply, or when none comes any more or in time
 * @param heard settles at the first message on iopub
 * @throws {OctavoError} ERR_OCTAVO_KERNEL_START when it ends before, or takes a minute
 */
export async function greet(
	name: string,
	launched: KernelProcess,
	ask: (timeoutMs: number) => Promise<unknown>,
	heard: Promise<void>,
): Promise<void> {
	let timer: NodeJS.Timeout | undefined;
	let done = false;
	const failed = new Promise<never>((_, reject) => {
		const fail = (why: string) => {
			const said = launched.tail ? `\n${launched.tail}` : "";
			reject(new OctavoError("ERR_OCTAVO_KERNEL_START", `Kernel ${name} did not start: ${why}${said}`));
		};
		timer = setTimeout(() => fail(`no answer within ${startTimeoutMs / 1000} s`), startTimeoutMs);
		void launched.exited.then(fail);
	});
	const greeted = (async () => {
		let isHeard = false;
		void heard.then(() => {
			isHeard = true;
		});
		while (!isHeard && !done) {
			await ask(startTimeoutMs);
			await Promise.race([heard, new Promise((resolve) => setTimeout(resolve, iopubMs))]);
		}
	})();
	try {
		await Promise.race([greeted, failed]);
	} finally {
		done = true;
		clearTimeout(timer);
		failed.catch(() => undefined);
	}
}
