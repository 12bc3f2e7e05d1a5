// The requests of one shell, which wait for each other. Comm messages wait for the requests before them, but not for the
// running cell, which may be what awaits them.

import type { Message } from "../wire/frames.js";
import type { RequestChannel } from "../wire/sockets.js";

/** A request with the channel it came on. */
export interface Arrived {
	channel: RequestChannel;
	message: Message;
}

/** Whether a request runs a cell. */
export const isCell = ({ header }: Message): boolean => header.msg_type === "execute_request";
const isComm = ({ header }: Message) => /^comm_(?:open|msg|close)$/.test(header.msg_type);

/** Requests in line. */
export class ShellQueue {
	readonly #handle: (next: Arrived) => Promise<void>;
	readonly #waiting: Arrived[] = [];
	#working = false;

	/** @param handle answers a request; settles when the next one may run */
	constructor(handle: (next: Arrived) => Promise<void>) {
		this.#handle = handle;
	}

	/** Adds a request behind those that wait. */
	add(arrived: Arrived): void {
		this.#waiting.push(arrived);
		if (this.#working) this.#passComms();
		else void this.#work();
	}

	/** Takes the cells that wait now out of the line; those sent after the reply to a failed one are not among them. */
	async takeCells(): Promise<Arrived[]> {
		// Requests that a client sent together may still be on their way through ZeroMQ.
		for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
		const cells = this.#waiting.filter(({ message }) => isCell(message));
		const others = this.#waiting.filter(({ message }) => !isCell(message));
		this.#waiting.splice(0, this.#waiting.length, ...others);
		return cells;
	}

	/** Takes all that wait. */
	takeAll(): Arrived[] {
		return this.#waiting.splice(0);
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
}
