// Questions to the user on the stdin channel: to the client whose cell asks, one at a time. An answer counts only from
// that client, and not when it names another question; whatever else arrives is noted and dropped.

import type { WorkerEvent } from "../cell/protocol.js";
import type { WorkerProcess } from "../cell/worker-process.js";
import type { Outlet } from "../protocol/outlet.js";
import type { Message } from "../wire/frames.js";

type Question = Extract<WorkerEvent, { type: "input" }> & { parent: Message; messageId?: string };

/** The questions of running cells. */
export class Inputs {
	readonly #worker: WorkerProcess;
	readonly #outlet: Outlet;
	#waiting: Question[] = [];

	constructor(worker: WorkerProcess, outlet: Outlet) {
		this.#worker = worker;
		this.#outlet = outlet;
	}

	/** Asks the client of a cell, after what it is asked already. */
	ask(event: Extract<WorkerEvent, { type: "input" }>, parent: Message): void {
		this.#waiting.push({ ...event, parent });
		if (this.#waiting.length === 1) this.#next();
	}

	/** Forgets the questions of a cell that is over. */
	drop(cell: Message): void {
		const [asked] = this.#waiting;
		this.#waiting = this.#waiting.filter(({ parent }) => parent !== cell);
		if (this.#waiting[0] !== asked) this.#next();
	}

	/** Takes a message of the stdin channel. */
	readonly accept = (message: Message): void => {
		const [question] = this.#waiting;
		const { value } = message.content;
		const wrong = refusal(message, question);
		if (wrong !== undefined || !question) {
			process.stderr.write(`octavo: dropped a message on stdin: ${wrong}\n`);
			return;
		}
		this.#waiting.shift();
		this.#worker.answerInput(question.inputId, String(value), question.sync);
		this.#next();
	};

	#next(): void {
		const [question] = this.#waiting;
		if (!question) return;
		const { prompt, password, parent } = question;
		question.messageId = this.#outlet.ask(parent, { prompt, password });
	}
}

/** Why a message is no answer to a question; undefined when it is one. */
function refusal(message: Message, question: Question | undefined): string | undefined {
	const { header, parent_header, identities, content } = message;
	if (header.msg_type !== "input_reply") return `expected an input_reply but it is ${JSON.stringify(header.msg_type)}`;
	if (!question) return "nothing was asked";
	const { parent, messageId } = question;
	const sameClient =
		header.session === parent.header.session &&
		identities.length === parent.identities.length &&
		identities.every((identity, i) => identity.equals(parent.identities[i]!));
	if (!sameClient) return "another client was asked";
	// Some front ends name the request, some the cell, some nothing.
	const { msg_id } = parent_header as { msg_id?: unknown };
	if (msg_id !== undefined && msg_id !== messageId && msg_id !== parent.header.msg_id)
		return "it answers another question";
	if (typeof content.value !== "string") return `expected a string as value but it is ${typeof content.value}`;
	return undefined;
}
