// Debian's two Jupyter servers, started on a folder: Notebook 6 and jupyter_server.

import { type ChildProcess, spawn } from "node:child_process";
import { programs } from "./jupyter.js";

/** A server that runs. */
export interface JupyterServer {
	/** `http://127.0.0.1:port` */
	origin: string;
	token: string;
	/** Ends it and its kernels. */
	close(): Promise<void>;
}

const token = "front-end-test";

/** Starts a server; settles when it answers. */
export async function startJupyterServer(
	module: "notebook" | "jupyter_server",
	folder: string,
	env: NodeJS.ProcessEnv,
): Promise<JupyterServer> {
	// Port 0 would be announced as such, so the server tries ports upwards from a random one.
	const port = 20_000 + Math.floor(Math.random() * 20_000);
	const common = ["-m", module, "--no-browser", "--allow-root", "--ip=127.0.0.1", `--port=${port}`];
	const own =
		module === "notebook"
			? [`--NotebookApp.token=${token}`, "--NotebookApp.quit_button=False", `--notebook-dir=${folder}`]
			: [`--ServerApp.token=${token}`, `--ServerApp.root_dir=${folder}`];
	const server = spawn(programs.python, [...common, ...own], { env, stdio: ["ignore", "ignore", "pipe"] });
	try {
		return { origin: await announcedOrigin(server), token, close: () => endServer(server) };
	} catch (error) {
		await endServer(server);
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
