// The worker's end of the debugger, on its second thread: passes the inspector's requests, answers and events between
// the front process and the main thread, also while that is stopped. Loaded when the first debugger attaches, so that a
// kernel without one pays nothing. It also knows whether the main thread is stopped, for the interrupt beside it.

import { Session } from "node:inspector";
import type { Socket } from "node:net";
import type { RelayRequest } from "../debug/inspector.js";

/** Inspector traffic of one worker. */
export class DebugRelay {
	readonly #pipe: Socket;
	#session: Session | undefined;
	#rest = "";
	#paused = false;

	/** @param first what has already been read from the pipe */
	constructor(pipe: Socket, first: string) {
		this.#pipe = pipe;
		pipe.on("data", (text: string) => this.#read(text));
		this.#read(first);
	}

	/** Whether the main thread is stopped at a breakpoint. */
	get paused(): boolean {
		return this.#paused;
	}

	/** Lets a stopped main thread go on. */
	resume(): void {
		if (this.#paused) this.#session?.post("Debugger.resume");
	}

	/** Passes over all breakpoints, or heeds them again. */
	skipPauses(skip: boolean): void {
		this.#session?.post("Debugger.setSkipAllPauses", { skip });
	}

	#read(text: string): void {
		const lines = (this.#rest + text).split("\n");
		this.#rest = lines.pop()!;
		for (const line of lines) this.#handle(JSON.parse(line) as RelayRequest);
	}

	#handle({ id, method, params }: RelayRequest): void {
		if (method === "open" || method === "close") {
			this.#disconnect();
			if (method === "open") this.#connect();
			this.#say({ id, result: {} });
		} else if (!this.#session) {
			this.#say({ id, error: { message: "the debugger is not attached" } });
		} else {
			this.#session.post(method, params, (error, result) =>
				this.#say(error ? { id, error: { message: error.message } } : { id, result }),
			);
		}
	}

	#connect(): void {
		const session = new Session();
		session.connectToMainThread();
		session.on("inspectorNotification", (message) => {
			if (session !== this.#session) return;
			const { method, params } = message as { method: string; params?: object };
			if (method === "Debugger.paused") this.#paused = true;
			if (method === "Debugger.resumed") this.#paused = false;
			this.#say({ method, params });
		});
		this.#session = session;
	}

	/** The inspector forgets a session's breakpoints with it, and lets the main thread go on. */
	#disconnect(): void {
		this.#session?.disconnect();
		this.#session = undefined;
		this.#paused = false;
	}

	#say(message: object): void {
		this.#pipe.write(`${JSON.stringify(message)}\n`);
	}
}
