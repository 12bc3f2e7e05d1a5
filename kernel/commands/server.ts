// octavo server: the embedded server, for JupyterLab's packages, VS Code and other Jupyter clients.

import type { Command } from "commander";
import { InvalidArgumentError } from "commander";

interface Options {
	port: number;
	root: string;
	host: string;
	allowRemote?: boolean;
	token?: string;
}

/** Adds the command. */
export function register(program: Command): void {
	program
		.command("server")
		.description("serve kernels and notebooks to Jupyter clients on this machine")
		.option("--port <port>", "port; 0 for any free one", parsePort, 8888)
		.option("--root <dir>", "folder with the notebooks", ".")
		.option("--host <address>", "address to bind", "127.0.0.1")
		.option("--allow-remote", "permit an address other than loopback; traffic is not encrypted")
		.option("--token <token>", "secret of the server (default: OCTAVO_TOKEN, or a new random one)")
		.action(async (options: Options) => {
			const { OctavoServer } = await import("../server/server.js");
			const token = options.token ?? process.env.OCTAVO_TOKEN;
			const server = await OctavoServer.start({
				port: options.port,
				root: options.root,
				host: options.host,
				allowRemote: options.allowRemote === true,
				...(token === undefined ? {} : { token }),
				log: (text) => process.stderr.write(text),
			});
			console.log(
				`Octavo serves ${options.root} at\n  ${server.url}?token=${server.token}\nCtrl-C ends it and its kernels.`,
			);
			await new Promise<void>((resolve) => {
				for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => resolve());
			});
			await server.close();
		});
}

function parsePort(text: string): number {
	const port = Number(text);
	if (!/^\d+$/.test(text) || port > 65535) throw new InvalidArgumentError("Expected a port from 0 to 65535.");
	return port;
}
