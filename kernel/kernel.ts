// One running kernel: sockets, worker and handlers tied together, and the ways in which it ends.

import { OctavoError } from "../sdk/errors.js";
import type { WorkerProcess } from "./cell/worker-process.js";
import { Comms } from "./handlers/comm.js";
import { controlHandlers } from "./handlers/control.js";
import { debugHandlers } from "./handlers/debug.js";
import { Executions } from "./handlers/execute.js";
import { History } from "./handlers/history.js";
import { Inputs } from "./handlers/input.js";
import { languageHandlers } from "./handlers/language.js";
import { Outlet } from "./protocol/outlet.js";
import { OutputLimit, outputLimit } from "./protocol/output-limit.js";
import { Router } from "./protocol/router.js";
import type { ConnectionInfo } from "./wire/connection.js";
import type { Message } from "./wire/frames.js";
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
	const limit = new OutputLimit(outputLimit(), (name, text) => outlet.stream(name, text, parent()));
	const executions = new Executions(worker, outlet, history, {
		begins() {
			limit.begin();
			return debug.ready();
		},
		ended() {
			inputs.drop();
			limit.end();
		},
	});
	/** The comm request whose handler puts out what arrives now; none: the cell does. */
	let within: Message | undefined;
	const parent = () => within ?? executions.current;
	const isShown = () => within !== undefined || !executions.silent;

	const debug = debugHandlers(worker, outlet, () => executions.current);

	worker.listener = {
		stream(name, text) {
			if (isShown()) limit.write(name, text);
		},
		event(event) {
			switch (event.type) {
				case "within":
					within = event.request === undefined ? undefined : comms.request(event.request);
					break;
				// A channel that is opened is there, whatever the cell shows.
				case "comm":
					comms.publish(event, parent());
					break;
				case "input":
					if (executions.current) inputs.ask(event, executions.current);
					break;
				case "clear":
					if (isShown()) outlet.publish("clear_output", { wait: event.wait }, parent());
			}
		},
		display(content, update) {
			if (isShown()) outlet.publish(update ? "update_display_data" : "display_data", content, parent());
		},
		died() {
			within = undefined;
			comms.closeAll(executions.current);
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

	const router = new Router(
		outlet,
		new Map([
			["execute_request", executions.handle],
			["history_request", history.handle],
			...languageHandlers(worker),
			...controlHandlers(worker, outlet, interrupt, shutdown),
			...comms.handlers(),
			...debug.handlers,
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
