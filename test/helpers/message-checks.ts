// Looks at every message that a test's kernel sends: its shape, its channel, its parent, and what holds between messages
// (busy and idle once each, one reply a request, no message id twice). Tests fail in KernelClient.stop() when one is wrong.

import { isDeepStrictEqual } from "node:util";
import { channelsOf, contentShapes, headerShape } from "./message-shapes.js";

/** A message as it came, parsed. */
export interface RawMessage {
	channel: string;
	/** ZeroMQ frames before the delimiter. */
	topics: string[];
	header: Record<string, unknown>;
	parent: Record<string, unknown>;
	metadata: unknown;
	content: Record<string, unknown>;
	buffers: Buffer[];
}

/** What was heard of one request. */
interface Heard {
	header: Record<string, unknown>;
	channel: string;
	/** Sent before the subscription had taken effect: its busy may not have been heard. */
	early: boolean;
	replies: number;
	busy: number;
	idle: number;
}

/** Messages looked at by this process. */
let messagesChecked = 0;

/** Gives how many messages this process has looked at. */
export function checkedMessages(): number {
	return messagesChecked;
}

/** The checks of one kernel's messages. */
export class MessageChecks {
	/** What was wrong, a line each. */
	readonly violations: string[] = [];
	/** Whether iopub is heard. */
	listening = false;
	readonly #requests = new Map<string, Heard>();
	readonly #ids = new Set<unknown>();
	#session: unknown;

	/** Remembers a request that is sent. */
	sent(header: Record<string, unknown>, channel: string): void {
		const early = !this.listening;
		this.#requests.set(String(header.msg_id), { header, channel, early, replies: 0, busy: 0, idle: 0 });
	}

	/** Looks at a message that came. */
	came(message: RawMessage): void {
		messagesChecked++;
		const { channel, header, parent, metadata, content, buffers, topics } = message;
		const type = String(header.msg_type);
		const complain = (what: string | undefined) => {
			if (what !== undefined && this.violations.length < 20) this.violations.push(`${channel} ${type}: ${what}`);
		};
		complain(headerShape(header, "header"));
		const shape = Object.hasOwn(contentShapes, type) ? contentShapes[type]! : () => "is no message of a kernel";
		complain(shape(content, "content"));
		if (typeof metadata !== "object" || metadata === null || Array.isArray(metadata))
			complain("metadata is no dictionary");
		if (!channelsOf(type).includes(channel)) complain("came on this channel");
		if (buffers.length > 0 && !type.startsWith("comm_")) complain(`has ${buffers.length} buffers`);
		if (channel === "iopub" && topics.length !== 1) complain(`has ${topics.length} topics`);
		this.#session ??= header.session;
		if (header.session !== this.#session) complain("is of another kernel session");
		if (this.#ids.has(header.msg_id)) complain(`has the id of an earlier message: ${header.msg_id}`);
		this.#ids.add(header.msg_id);
		const request = this.#requests.get(String(parent.msg_id));
		// Another client's request, or the kernel's own accord.
		if (!request) {
			if (channel !== "iopub") complain("answers nothing that was asked");
			return;
		}
		if (!isDeepStrictEqual(parent, request.header)) complain("parent_header is not the request's header");
		complain(this.#place(request, type, channel, content));
	}

	#place(request: Heard, type: string, channel: string, content: Record<string, unknown>): string | undefined {
		const asked = String(request.header.msg_type);
		if (channel === request.channel && type.endsWith("_reply")) {
			if (type !== asked.replace(/_request$/, "_reply")) return `answers a ${asked}`;
			if (++request.replies > 1) return "is a second reply";
		} else if (channel !== "iopub" && channel !== "stdin") {
			return `answers what was asked on ${request.channel}`;
		}
		if (request.early) return undefined;
		if (type === "status") {
			if (content.execution_state === "busy" && ++request.busy > 1) return "is a second busy";
			if (content.execution_state === "idle") {
				if (++request.idle > 1) return "is a second idle";
				if (request.busy === 0) return "is an idle before busy";
			}
		} else if (channel === "iopub" && request.busy === 0) {
			return `${type} came before busy`;
		}
		return undefined;
	}
}
