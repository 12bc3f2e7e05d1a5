// Sends in order on one ZeroMQ socket. zeromq accepts 512 synchronous sends per event-loop turn and then fails with
// EBUSY, so the queue pauses for a turn well before that; nothing is dropped.

import type { Dealer, Router, XPublisher } from "zeromq";

const sendsPerTurn = 256;

/** An unbounded first-in first-out queue in front of a socket. */
export class SendQueue {
	readonly #socket: Dealer | XPublisher | Router;
	readonly #waiting: Buffer[][] = [];
	#draining: Promise<void> | undefined;
	#sentThisTurn = 0;

	constructor(socket: Dealer | XPublisher | Router) {
		this.#socket = socket;
	}

	/** Queues one multipart message. */
	send(frames: Buffer[]): void {
		this.#waiting.push(frames);
		this.#draining ??= this.#drain();
	}

	/** Settles when everything queued so far has been handed to ZeroMQ. */
	async flushed(): Promise<void> {
		while (this.#draining) await this.#draining;
	}

	async #drain(): Promise<void> {
		for (let frames = this.#waiting.shift(); frames; frames = this.#waiting.shift()) {
			if (++this.#sentThisTurn > sendsPerTurn) {
				await new Promise<void>((resolve) => setImmediate(resolve));
				this.#sentThisTurn = 0;
			}
			try {
				await this.#socket.send(frames);
			} catch (error) {
				// A client that went away takes its replies with it (EHOSTUNREACH); a closed socket ends the queue.
				const code = (error as NodeJS.ErrnoException).code;
				if (this.#socket.closed) break;
				if (code !== "EHOSTUNREACH") process.stderr.write(`octavo: a message was not sent: ${code}\n`);
			}
		}
		this.#draining = undefined;
	}
}
