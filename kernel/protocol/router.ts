// Brings each request to its handler, between busy and idle. Requests of one shell wait for each other, while those of its
// subshells run beside them; control requests are answered at once, whatever the shells do, but for cells: one that comes
// there waits in the parent shell's line. After a failed cell the cells that wait in its shell are aborted.

import { randomUUID } from "node:crypto";
import { OctavoError, received } from "../../sdk/errors.js";
import type { Message } from "../wire/frames.js";
import type { RequestChannel } from "../wire/sockets.js";
import type { ErrorContent, ReplyContent } from "./messages.js";
import type { Outlet } from "./outlet.js";
import { type Arrived, isCell, ShellQueue } from "./shell-queue.js";

/** What a handler gives back: the reply, or nothing for messages that have none. */
export interface Answer {
	content: ReplyContent;
	metadata?: Record<string, unknown>;
	/** Abort the cells that already wait in the same shell. */
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
	readonly #stdin: (message: Message) => void;
	readonly #parent: ShellQueue;
	readonly #subshells = new Map<string, ShellQueue>();

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
		this.#parent = this.#makeQueue();
	}

	/** Ids of the subshells. */
	get subshells(): string[] {
		return [...this.#subshells.keys()];
	}

	/** Makes a subshell; gives its id. */
	createSubshell(): string {
		const id = randomUUID();
		this.#subshells.set(id, this.#makeQueue());
		return id;
	}

	/**
	 * Ends a subshell. The request that it answers goes on to its end; those that wait behind are refused.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_SUBSHELL for an id that no subshell has
	 */
	deleteSubshell(id: unknown): void {
		const queue = this.#subshells.get(id as string);
		if (!queue) throw unknownSubshell(id);
		this.#subshells.delete(id as string);
		for (const arrived of queue.takeAll()) this.#refuse(arrived, unknownSubshell(id));
	}

	/** Takes a verified message. */
	accept(channel: RequestChannel | "stdin", message: Message): void {
		const { subshell_id } = message.header;
		if (channel === "stdin") {
			this.#stdin(message);
		} else if (channel === "control") {
			if (isCell(message)) this.#parent.add({ channel, message });
			else void this.#handle({ channel, message });
		} else if (subshell_id === undefined || subshell_id === null) {
			this.#parent.add({ channel, message });
		} else {
			const queue = this.#subshells.get(subshell_id);
			if (queue) queue.add({ channel, message });
			else this.#refuse({ channel, message }, unknownSubshell(subshell_id));
		}
	}

	#makeQueue(): ShellQueue {
		const queue: ShellQueue = new ShellQueue((next) => this.#handle(next, queue));
		return queue;
	}

	/** Answers a request with an error; a comm message, which has no reply, with a note. */
	#refuse({ channel, message }: Arrived, error: OctavoError): void {
		const type = message.header.msg_type;
		const failure = describe(error);
		this.#outlet.status("busy", message);
		if (isCell(message)) {
			this.#outlet.publish("error", { ...failure }, message);
			this.#outlet.reply(channel, message, { ...this.#aborted(), status: "error", ...failure });
		} else if (type.endsWith("_request")) {
			this.#outlet.reply(channel, message, { status: "error", ...failure });
		} else {
			process.stderr.write(`octavo: dropped a ${JSON.stringify(type)}: ${error.message}\n`);
		}
		this.#outlet.status("idle", message);
	}

	#abort(cells: readonly Arrived[]): void {
		for (const { channel, message } of cells) {
			this.#outlet.status("busy", message);
			this.#outlet.reply(channel, message, this.#aborted());
			this.#outlet.status("idle", message);
		}
	}

	/** @param queue the line it waited in */
	async #handle({ channel, message: request }: Arrived, queue?: ShellQueue): Promise<void> {
		const type = request.header.msg_type;
		this.#outlet.status("busy", request);
		let answer: Answer | undefined;
		try {
			const handler = this.#handlers.get(type);
			if (handler) answer = await handler(request, channel);
			else process.stderr.write(`octavo: no handler for ${JSON.stringify(type)}\n`);
		} catch (error) {
			answer = { content: { status: "error", ...describe(error as Error) } };
		}
		const doomed = answer?.abortQueue && queue ? await queue.takeCells() : [];
		if (answer && type.endsWith("_request")) {
			this.#outlet.reply(channel, request, answer.content, answer.metadata);
		}
		this.#outlet.status("idle", request);
		this.#abort(doomed);
		await answer?.after?.();
	}
}

function unknownSubshell(id: unknown): OctavoError {
	return new OctavoError("ERR_OCTAVO_SUBSHELL", `Expected the id of a subshell but received ${received(id)}`);
}

function describe({ name, message }: Error): ErrorContent {
	return { ename: name, evalue: message, traceback: [`${name}: ${message}`] };
}
