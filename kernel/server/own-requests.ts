// The server's own requests to a kernel, beside those of its clients: they carry a session of their own, by which their
// replies are known.

import { randomUUID } from "node:crypto";
import type { Channel, KernelClientSockets, RawMessage } from "../wire/client-sockets.js";
import { makeMessage, parsePart } from "./raw-messages.js";

/** Longest wait for a reply, in milliseconds. */
const replyTimeoutMs = 5000;

/** Requests to one kernel. */
export class OwnRequests {
	/** Session of the server's messages. */
	readonly session = randomUUID();
	readonly #replies = new Map<string, (content?: Record<string, unknown>) => void>();

	/**
	 * Sends a request.
	 *
	 * @param sockets of the kernel; undefined when it does not run
	 * @param timeoutMs longest wait for the reply, in milliseconds; default 5000
	 * @returns the reply's content; undefined when none came in time, nothing in it when the kernel died
	 */
	async send(
		sockets: KernelClientSockets | undefined,
		channel: Channel,
		type: string,
		content: Record<string, unknown>,
		timeoutMs = replyTimeoutMs,
	): Promise<Record<string, unknown> | undefined> {
		if (!sockets) return undefined;
		const message = makeMessage(channel, type, content, this.session);
		const id = String(parsePart(message.parts[0]).msg_id);
		return await new Promise((resolve) => {
			const finish = (reply?: Record<string, unknown>) => {
				clearTimeout(timer);
				this.#replies.delete(id);
				resolve(reply);
			};
			const timer = setTimeout(finish, timeoutMs);
			timer.unref();
			this.#replies.set(id, finish);
			sockets.send(message);
		});
	}

	/** Takes a reply. @param parent its parent header */
	take(parent: Record<string, unknown>, message: RawMessage): void {
		this.#replies.get(String(parent.msg_id))?.(parsePart(message.parts[3]));
	}

	/** Ends the waiting: the kernel is gone. */
	giveUp(): void {
		for (const finish of [...this.#replies.values()]) finish({});
	}
}
