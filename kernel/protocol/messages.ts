// Makes the messages that a kernel sends. Types cover the fields this kernel reads or writes; what a client adds beyond
// them is ignored.

import { randomUUID } from "node:crypto";
import type { Message, MessageContent, MessageHeader, OutgoingMessage } from "../wire/frames.js";

/** Version of the Jupyter messaging protocol that this kernel speaks. */
export const protocolVersion = "5.5";

/** Content of an `execute_request`. */
export interface ExecuteRequest {
	code: string;
	silent: boolean;
	store_history: boolean;
	user_expressions: Record<string, string>;
	allow_stdin: boolean;
	stop_on_error: boolean;
}

/** What an error looks like in a reply and on iopub. */
export interface ErrorContent {
	ename: string;
	evalue: string;
	/** Lines, with ANSI colours. */
	traceback: string[];
}

/** A reply's content; `status` is always there. */
export type ReplyContent = { status: "ok" | "error" | "aborted" } & Record<string, unknown>;

/** Makes messages of one kernel session. */
export class MessageFactory {
	readonly session = randomUUID();
	#count = 0;

	/**
	 * Makes a message.
	 *
	 * @param parent the request it belongs to; none for messages of the kernel's own accord
	 */
	make(
		type: string,
		content: MessageContent,
		parent?: Message,
		metadata: Record<string, unknown> = {},
		identities: Buffer[] = [],
	): OutgoingMessage {
		const header: MessageHeader = {
			msg_id: `${this.session}_${this.#count++}`,
			msg_type: type,
			session: this.session,
			username: "kernel",
			date: new Date().toISOString(),
			version: protocolVersion,
		};
		return { identities, header, parent_header: parent?.header ?? {}, metadata, content, buffers: [] };
	}
}

/** Reads an `execute_request` with the protocol's defaults for what is absent or of the wrong type. */
export function parseExecuteRequest(content: Record<string, unknown>): ExecuteRequest {
	const silent = content.silent === true;
	const expressions = content.user_expressions;
	return {
		code: typeof content.code === "string" ? content.code : "",
		silent,
		store_history: !silent && content.store_history !== false,
		user_expressions:
			typeof expressions === "object" && expressions !== null ? (expressions as Record<string, string>) : {},
		allow_stdin: content.allow_stdin === true,
		stop_on_error: content.stop_on_error !== false,
	};
}
