// A Chromium for the tests of a file, where there is one.

import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { after, before } from "node:test";
import { type Browser, chromium } from "playwright-core";

/** Where it is. */
export const executablePath = process.env.CHROMIUM_PATH ?? "/usr/bin/chromium";

/** Why tests in a browser are skipped; false where they run. */
export const skipWithoutBrowser = existsSync(executablePath)
	? false
	: `no Chromium at ${executablePath} (Debian package chromium)`;

/** Starts a browser; to be closed. */
export function launchBrowser(): Promise<Browser> {
	const args = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"];
	// It makes a socket there, whose path may not be longer than some hundred characters.
	const env = tmpdir().length > 50 && existsSync("/tmp") ? { ...process.env, TMPDIR: "/tmp" } : process.env;
	return chromium.launch({ executablePath, args, env });
}

/** Starts the browser before the file's tests and closes it after them; to be called once, at the top of the file. */
export function startBrowser(): () => Browser {
	let browser: Browser | undefined;
	before(async () => {
		if (!skipWithoutBrowser) browser = await launchBrowser();
	});
	after(() => browser?.close());
	return () => browser!;
}
