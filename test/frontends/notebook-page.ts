// A headless browser on a page of Jupyter Notebook 6. Every request but those to the server is refused, so that what the
// page shows it shows offline.

import { dirname } from "node:path";
import type { Browser, Page } from "playwright-core";
import { launchBrowser } from "../helpers/browser.js";
import { startJupyterServer } from "./jupyter-server.js";

/** A page that shows a notebook. */
export interface NotebookPage {
	page: Page;
	/** Ends browser and server. */
	close(): Promise<void>;
}

/** Starts the server and opens the notebook; its kernel is ready when this settles. */
export async function openNotebook(notebook: string, env: NodeJS.ProcessEnv): Promise<NotebookPage> {
	const { origin, token, close: endServer } = await startJupyterServer("notebook", dirname(notebook), env);
	let browser: Browser | undefined;
	const close = async () => {
		await browser?.close();
		await endServer();
	};
	try {
		browser = await launchBrowser();
		const page = await browser.newPage({ viewport: { width: 1100, height: 1200 } });
		await page.route("**/*", (route) => (route.request().url().startsWith(origin) ? route.continue() : route.abort()));
		await page.goto(`${origin}/notebooks/${notebook.split("/").at(-1)}?token=${token}`);
		await page.waitForFunction(
			`window.Jupyter && Jupyter.notebook && Jupyter.notebook.kernel && Jupyter.notebook.kernel.is_connected()`,
			undefined,
			{ timeout: 60_000 },
		);
		return { page, close };
	} catch (error) {
		await close();
		throw error;
	}
}
