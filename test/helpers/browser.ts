// A Chromium for the tests of a file, where there is one.

import { existsSync } from "node:fs";
import { after, before } from "node:test";
import { type Browser, chromium } from "playwright-core";

const executablePath = process.env.CHROMIUM_PATH ?? "/usr/bin/chromium";

/** Why tests in a browser are skipped; false where they run. */
export const skipWithoutBrowser = existsSync(executablePath)
	? false
	: `no Chromium at ${executablePath} (Debian package chromium)`;

/** Starts the browser before the file's tests and closes it after them; to be called once, at the top of the file. */
export function startBrowser(): () => Browser {
	let browser: Browser | undefined;
	before(async () => {
		if (!skipWithoutBrowser)
			browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
	});
	after(() => browser?.close());
	return () => browser!;
}
