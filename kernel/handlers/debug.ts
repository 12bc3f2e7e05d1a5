// debug_request: an envelope around a request of the Debug Adapter Protocol, answered with its response; its events go
// out as debug_event. Requests are met in their order, but for those that must get through while another one waits.

import type { WorkerProcess } from "../cell/worker-process.js";
import { asArguments } from "../debug/arguments.js";
import { type Command, commands } from "../debug/commands.js";
import { failure } from "../debug/inspector.js";
import { DebugSession } from "../debug/session.js";
import type { Outlet } from "../protocol/outlet.js";
import type { Answer, Handler } from "../protocol/router.js";
import type { Message } from "../wire/frames.js";

/** Commands that overtake the others: an evaluation that does not end must not keep a debugger from leaving. */
const urgent = new Set(["pause", "disconnect", "terminate"]);

/** The debugger as the kernel wires it up. */
export interface DebugHandlers {
	handlers: [string, Handler][];
	/** Takes a line from the debugger's end in the worker. */
	receive(line: string): void;
	/** Says that the worker died. */
	workerDied(): void;
	/** Settles when cells may run: at once, but after a worker died, when the next one is attached to. */
	ready(): Promise<void>;
}

/**
 * Makes the handler of debug requests.
 *
 * @param current the request of the running cell, to which events belong
 */
export function debugHandlers(
	worker: WorkerProcess,
	outlet: Outlet,
	current: () => Message | undefined,
): DebugHandlers {
	let seq = 1;
	const session = new DebugSession(
		worker,
		(event, body) => outlet.publish("debug_event", { seq: seq++, type: "event", event, body }, current()),
		current,
	);
	let before: Promise<unknown> = Promise.resolve();

	const handle: Handler = async ({ content }) => {
		const name = typeof content.command === "string" ? content.command : "";
		const args = asArguments(content.arguments);
		const envelope = {
			type: "response",
			request_seq: Number.isSafeInteger(content.seq) ? content.seq : 0,
			command: name,
		};
		const command: Command = commands.get(name) ?? unknown(content.command);
		const { departures } = session;
		const run = async () => command(session, args, departures);
		const running = urgent.has(name) ? run() : before.then(run);
		if (!urgent.has(name)) before = running.catch(() => {});
		try {
			const body = await running;
			const after = name === "attach" ? { after: () => publishInitialized() } : {};
			return { content: { status: "ok", seq: seq++, ...envelope, success: true, body }, ...after } satisfies Answer;
		} catch (error) {
			const { name: ename, message } = error as Error;
			const failed = { status: "error" as const, ename, evalue: message, traceback: [message] };
			const body = { error: { id: 1, format: message.replaceAll(/[{}]/g, ""), showUser: true } };
			return { content: { ...failed, seq: seq++, ...envelope, success: false, message, body } };
		}
	};

	function publishInitialized(): void {
		outlet.publish("debug_event", { seq: seq++, type: "event", event: "initialized", body: {} }, current());
	}

	return {
		handlers: [["debug_request", handle]],
		receive: (line) => session.receive(line),
		workerDied: () => session.workerDied(),
		ready: () => session.ready,
	};
}

function unknown(command: unknown): Command {
	return () => {
		const came = JSON.stringify(command)?.slice(0, 80) ?? "nothing";
		throw failure(`Expected one of ${[...commands.keys()].join(", ")} for command but received ${came}`);
	};
}
