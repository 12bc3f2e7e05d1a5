// Brings each request to its handler, between busy and idle. Shell requests wait for each other; control requests are
// answered at once, whatever the shell does, but for cells: one that comes there waits in the same line, since two would
// run at once. Comm messages wait for the requests before them, but not for the running
// cell, which may be what awaits them. After a failed cell the cells already waiting are aborted.

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

/** A request with the channel it came on. */
interface Arrived {
	channel: RequestChannel;
	message: Message;
}

const isCell = ({ header }: Message) => header.msg_type === "execute_request";
const isComm = ({ header }: Message) => /^comm_(?:open|msg|close)$/.test(header.msg_type);

/** Dispatches requests of both channels. */
export class Router {
	readonly #outlet: Outlet;
	readonly #handlers: ReadonlyMap<string, Handler>;
	readonly #aborted: () => ReplyContent;
	readonly #stdin: (message: Message) => void;
	readonly #waiting: Arrived[] = [];
	#working = false;

	/**
	 * @param aborted makes the reply of a cell that is aborted
	 * @param stdin takes what comes on the stdin channel
	 */
	constructor(
		outlet: Outlet,
		handlers: ReadonlyMap<string, Handler>,
		aborted: () => ReplyContent,
		stdin: (message: Message) => void,
	) {
		this.#outlet = outlet;
		this.#handlers = handlers;
		this.#aborted = aborted;
		this.#stdin = stdin;
	}

	/** Takes a verified message. */
	accept(channel: RequestChannel | "stdin", message: Message): void {
		if (channel === "stdin") {
			this.#stdin(message);
		} else if (channel === "control" && !isCell(message)) {
			void this.#handle({ channel, message });
		} else {
			this.#waiting.push({ channel, message });
			if (this.#working) this.#passComms();
			else void this.#work();
		}
	}

	async #work(): Promise<void> {
		this.#working = true;
		for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
			const handled = this.#handle(next);
			this.#passComms();
			// A handler of a comm message may await a later one.
			if (!isComm(next.message)) await handled;
		}
		this.#working = false;
	}

	/** Handles comm messages that only the running request is before. */
	#passComms(): void {
		while (this.#waiting[0] && isComm(this.#waiting[0].message)) void this.#handle(this.#waiting.shift()!);
	}

	/** Takes the cells that wait now out of the queue; those sent after the failed cell's reply are not among them. */
	async #takeWaitingCells(): Promise<Arrived[]> {
		// Requests that a client sent together may still be on their way through ZeroMQ.
		for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
		const cells = this.#waiting.filter(({ message }) => isCell(message));
		const others = this.#waiting.filter(({ message }) => !isCell(message));
		this.#waiting.splice(0, this.#waiting.length, ...others);
		return cells;
	}

	#abort(cells: readonly Arrived[]): void {
		for (const { channel, message } of cells) {
			this.#outlet.status("busy", message);
			this.#outlet.reply(channel, message, this.#aborted());
			this.#outlet.status("idle", message);
		}
	}

	async #handle({ channel, message: request }: Arrived): Promise<void> {
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
