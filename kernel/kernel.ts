// One running kernel: sockets, worker and handlers tied together, and the ways in which it ends.

import { OctavoError } from "../sdk/errors.js";
import type { Owner } from "./cell/protocol.js";
import type { WorkerProcess } from "./cell/worker-process.js";
import { Comms } from "./handlers/comm.js";
import { controlHandlers } from "./handlers/control.js";
import { debugHandlers } from "./handlers/debug.js";
import { type Execution, Executions } from "./handlers/execute.js";
import { History } from "./handlers/history.js";
import { Inputs } from "./handlers/input.js";
import { languageHandlers } from "./handlers/language.js";
import { subshellHandlers } from "./handlers/subshells.js";
import { Outlet, type StreamName } from "./protocol/outlet.js";
import { Router } from "./protocol/router.js";
import type { ConnectionInfo } from "./wire/connection.js";
import { KernelSockets } from "./wire/sockets.js";

/** How often a kernel looks whether the Jupyter process that started it still lives, in milliseconds. */
const parentCheckMs = 1000;

/**
 * Serves a connection until a shutdown request, a signal, or the end of the parent process.
 *
 * @throws {OctavoError} ERR_OCTAVO_BIND when a port is taken; nothing is left running then
 */
export async function startKernel(connection: ConnectionInfo, worker: WorkerProcess): Promise<void> {
	const sockets = new KernelSockets(connection);
	const outlet = new Outlet(sockets);
	const history = new History();
	const inputs = new Inputs(worker, outlet);
	const comms = new Comms(worker, outlet);
	const executions = new Executions(worker, outlet, history, {
		begins: () => debug.ready(),
		ended: (request) => inputs.drop(request),
	});
	/** Whose output arrives now. */
	let owner: Owner = {};
	const handled = () => (owner.request === undefined ? undefined : comms.request(owner.request));
	const cell = () => executions.of(owner.shell);
	const parent = () => handled() ?? cell().request;
	const isShown = () => handled() !== undefined || !cell().silent;
	const show = (name: StreamName, text: string, { limit, silent }: Execution) => {
		const request = handled();
		if (request) limit.write(name, text, (shownName, shown) => outlet.stream(shownName, shown, request));
		else if (!silent) limit.write(name, text);
	};

	const debug = debugHandlers(worker, outlet, () => executions.latest.request);

	worker.listener = {
		stream: (name, text) => show(name, text, cell()),
		nativeText: (name, text) => show(name, text, executions.latest),
		event(event) {
			switch (event.type) {
				case "within":
					owner = event.owner;
					break;
				// A channel that is opened is there, whatever the cell shows.
				case "comm":
					comms.publish(event, parent());
					break;
				case "input": {
					const { request, isRunning } = cell();
					if (request && isRunning) inputs.ask(event, request);
					break;
				}
				case "clear":
					if (isShown()) outlet.publish("clear_output", { wait: event.wait }, parent());
			}
		},
		display(content, update) {
			if (isShown()) outlet.publish(update ? "update_display_data" : "display_data", content, parent());
		},
		died() {
			owner = {};
			comms.closeAll(executions.latest.request);
			debug.workerDied();
		},
		debug: debug.receive,
	};

	const interrupt = () => executions.interrupt();
	let ending: Promise<void> | undefined;
	const shutdown = () => {
		ending ??= (async () => {
			await worker.stop();
			await history.close();
			outlet.flushStream();
			await sockets.close();
			process.exit(0);
		})();
		return ending;
	};

	const router: Router = new Router(
		outlet,
		new Map([
			["execute_request", executions.handle],
			["history_request", history.handle],
			...languageHandlers(worker),
			...controlHandlers(worker, outlet, interrupt, shutdown),
			...comms.handlers(),
			...debug.handlers,
			...subshellHandlers(
				() => router,
				(id) => executions.forget(id),
			),
		]),
		executions.aborted,
		inputs.accept,
	);
	process.on("SIGINT", interrupt);
	process.on("SIGTERM", () => void shutdown());
	process.on("SIGHUP", () => void shutdown());
	watchParent(shutdown);
	try {
		await sockets.open(
			(channel, message) => router.accept(channel, message),
			(topic) => outlet.welcome(topic),
		);
	} catch (error) {
		await Promise.all([worker.stop(), sockets.close()]);
		const { message } = error as Error;
		throw new OctavoError("ERR_OCTAVO_BIND", `Expected free ports in the connection file but ${message}`, {
			cause: error,
		});
	}
	outlet.status("starting");
}

/** Ends the kernel when its Jupyter process dies without a shutdown request. */
function watchParent(shutdown: () => Promise<void>): void {
	const parent = Number(process.env.JPY_PARENT_PID);
	if (!Number.isInteger(parent) || parent <= 1 || process.ppid !== parent) return;
	setInterval(() => {
		if (process.ppid !== parent) void shutdown();
	}, parentCheckMs).unref();
}
