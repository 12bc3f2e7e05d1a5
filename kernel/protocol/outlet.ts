// Where a kernel's messages go out: replies on their channel, everything else on iopub. Stream text is gathered for a
// few milliseconds, and always goes out before the next message of another kind, so that order holds.

import type { Message, MessageContent } from "../wire/frames.js";
import type { KernelSockets, RequestChannel } from "../wire/sockets.js";
import { MessageFactory, type ReplyContent } from "./messages.js";

/** Longest that stream text waits for more, in milliseconds. */
const gatherMs = 20;
/** Text gathered beyond this many UTF-16 units goes out at once. */
const gatherLength = 256 * 1024;

/** Names of the two output streams. */
export type StreamName = "stdout" | "stderr";

/** Sends what the kernel has to say, in order. */
export class Outlet {
	readonly #sockets: KernelSockets;
	readonly #factory = new MessageFactory();
	#stream: { name: StreamName; parts: string[]; length: number; parent: Message | undefined } | undefined;
	#timer: NodeJS.Timeout | undefined;

	constructor(sockets: KernelSockets) {
		this.#sockets = sockets;
	}

	/** Identifier of this kernel session, as its messages carry it. */
	get session(): string {
		return this.#factory.session;
	}

	/** Broadcasts on iopub. @param content bytes are its JSON already */
	publish(
		type: string,
		content: MessageContent,
		parent?: Message,
		metadata?: Record<string, unknown>,
		buffers: Buffer[] = [],
	): void {
		this.flushStream();
		const message = this.#factory.make(type, content, parent, metadata, [Buffer.from(type)]);
		this.#sockets.send("iopub", { ...message, buffers });
	}

	/** Tells whoever subscribed to a topic of iopub that nothing on it will be missed from now on. */
	welcome(topic: Buffer): void {
		const content = { subscription: topic.toString() };
		this.#sockets.send("iopub", this.#factory.make("iopub_welcome", content, undefined, {}, [topic]));
	}

	/** Sends an input request to the client of a cell; gives its id. */
	ask(parent: Message, content: { prompt: string; password: boolean }): string {
		this.flushStream();
		const message = this.#factory.make("input_request", content, parent, {}, parent.identities);
		this.#sockets.send("stdin", message);
		return message.header.msg_id;
	}

	/** Broadcasts the kernel's state in answer to `parent`. */
	status(state: "starting" | "busy" | "idle", parent?: Message): void {
		this.publish("status", { execution_state: state }, parent);
	}

	/** Adds text to a stream. */
	stream(name: StreamName, text: string, parent: Message | undefined): void {
		if (text === "") return;
		if (this.#stream && (this.#stream.name !== name || this.#stream.parent !== parent)) this.flushStream();
		this.#stream ??= { name, parts: [], length: 0, parent };
		this.#stream.parts.push(text);
		this.#stream.length += text.length;
		if (this.#stream.length > gatherLength) this.flushStream();
		else this.#timer ??= setTimeout(() => this.flushStream(), gatherMs);
	}

	/** Sends the gathered stream text now. */
	flushStream(): void {
		const stream = this.#stream;
		clearTimeout(this.#timer);
		this.#timer = undefined;
		if (!stream) return;
		this.#stream = undefined;
		const content = { name: stream.name, text: stream.parts.join("") };
		this.#sockets.send("iopub", this.#factory.make("stream", content, stream.parent, {}, [Buffer.from("stream")]));
	}

	/** Answers a request on the channel and to the client it came from. */
	reply(channel: RequestChannel, request: Message, content: ReplyContent, metadata?: Record<string, unknown>): void {
		this.flushStream();
		const type = request.header.msg_type.replace(/_request$/, "_reply");
		this.#sockets.send(channel, this.#factory.make(type, content, request, metadata, request.identities));
	}
}
