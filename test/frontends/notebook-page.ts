// Jupyter Notebook 6 and a headless browser on one of its pages. Every request but those to the server is refused, so
// that what the page shows it shows offline.

import { type ChildProcess, spawn } from "node:child_process";
import { dirname } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { programs } from "./jupyter.js";

/** A page that shows a notebook. */
export interface NotebookPage {
	page: Page;
	/** Ends browser and server. */
	close(): Promise<void>;
}

const token = "notebook-page-test";

/** Starts the server and opens the notebook; its kernel is ready when this settles. */
export async function openNotebook(notebook: string, env: NodeJS.ProcessEnv): Promise<NotebookPage> {
	// Port 0 would be announced as such, so the server tries ports upwards from a random one.
	const port = 20_000 + Math.floor(Math.random() * 20_000);
	const args = ["-m", "notebook", "--no-browser", "--allow-root", "--ip=127.0.0.1", `--port=${port}`];
	const settings = [`--NotebookApp.token=${token}`, "--NotebookApp.quit_button=False"];
	const server = spawn(programs.python, [...args, ...settings, `--notebook-dir=${dirname(notebook)}`], {
		env,
		stdio: ["ignore", "ignore", "pipe"],
	});
	let browser: Browser | undefined;
	const close = async () => {
		await browser?.close();
		await endServer(server);
	};
	try {
		const origin = await announcedOrigin(server);
		browser = await chromium.launch({
			executablePath: programs.chromium,
			args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
		});
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

function announcedOrigin(server: ChildProcess): Promise<string> {
	return new Promise((resolve, reject) => {
		let said = "";
		server.stderr!.on("data", (text: Buffer) => {
			said += text;
			const origin = /http:\/\/127\.0\.0\.1:[1-9]\d*/.exec(said)?.[0];
			if (origin) resolve(origin);
		});
		server.on("exit", () => reject(new Error(`The server ended: ${said}`)));
	});
}

async function endServer(server: ChildProcess): Promise<void> {
	if (server.exitCode !== null) return;
	const exited = new Promise((resolve) => server.once("exit", resolve));
	// The first signal makes it shut its kernels down.
	server.kill("SIGTERM");
	const timer = setTimeout(() => server.kill("SIGKILL"), 10_000);
	await exited;
	clearTimeout(timer);
}
