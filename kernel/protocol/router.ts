// Brings each request to its handler, between busy and idle. Shell requests wait for each other; control requests are
// answered at once, whatever the shell does. After a failed cell the cells already waiting are aborted.

import type { Message } from "../wire/frames.js";
import type { RequestChannel } from "../wire/sockets.js";
import type { ReplyContent } from "./messages.js";
import type { Outlet } from "./outlet.js";

/** What a handler gives back: the reply, or nothing for messages that have none. */
export interface Answer {
	content: ReplyContent;
	metadata?: Record<string, unknown>;
	/** Abort the cells that already wait on the shell channel. */
	abortQueue?: boolean;
	/** Runs after the reply and idle have been queued. */
	after?: () => void | Promise<void>;
}

/** Handles one type of message. */
export type Handler = (request: Message, channel: RequestChannel) => Promise<Answer | undefined> | Answer | undefined;

/** Dispatches requests of both channels. */
export class Router {
	readonly #outlet: Outlet;
	readonly #handlers: ReadonlyMap<string, Handler>;
	readonly #aborted: () => ReplyContent;
	readonly #waiting: Message[] = [];
	#working = false;

	/** @param aborted makes the reply of a cell that is aborted */
	constructor(outlet: Outlet, handlers: ReadonlyMap<string, Handler>, aborted: () => ReplyContent) {
		this.#outlet = outlet;
		this.#handlers = handlers;
		this.#aborted = aborted;
	}

	/** Takes a verified message. */
	accept(channel: RequestChannel | "stdin", message: Message): void {
		if (channel === "control") {
			void this.#handle("control", message);
		} else if (channel === "shell") {
			this.#waiting.push(message);
			if (!this.#working) void this.#work();
		}
	}

	async #work(): Promise<void> {
		this.#working = true;
		for (let message = this.#waiting.shift(); message; message = this.#waiting.shift()) {
			await this.#handle("shell", message);
		}
		this.#working = false;
	}

	/** Takes the cells that wait now out of the queue; those sent after the failed cell's reply are not among them. */
	async #takeWaitingCells(): Promise<Message[]> {
		// Requests that a client sent together may still be on their way through ZeroMQ.
		for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
		const isCell = ({ header }: Message) => header.msg_type === "execute_request";
		const cells = this.#waiting.filter(isCell);
		const others = this.#waiting.filter((message) => !isCell(message));
		this.#waiting.splice(0, this.#waiting.length, ...others);
		return cells;
	}

	#abort(cells: readonly Message[]): void {
		for (const message of cells) {
			this.#outlet.status("busy", message);
			this.#outlet.reply("shell", message, this.#aborted());
			this.#outlet.status("idle", message);
		}
	}

	async #handle(channel: RequestChannel, request: Message): Promise<void> {
		const type = request.header.msg_type;
		this.#outlet.status("busy", request);
		let answer: Answer | undefined;
		try {
			const handler = this.#handlers.get(type);
			if (handler) answer = await handler(request, channel);
			else process.stderr.write(`octavo: no handler for ${JSON.stringify(type)}\n`);
		} catch (error) {
			const { name, message } = error as Error;
			answer = { content: { status: "error", ename: name, evalue: message, traceback: [`${name}: ${message}`] } };
		}
		const doomed = answer?.abortQueue ? await this.#takeWaitingCells() : [];
		if (answer && type.endsWith("_request")) {
			this.#outlet.reply(channel, request, answer.content, answer.metadata);
		}
		this.#outlet.status("idle", request);
		this.#abort(doomed);
		await answer?.after?.();
	}
}
