// Comms: channels of messages between cells and what runs in the front end, such as a widget. A cell's messages go out in
// the order of its other output; messages of the front end come while a cell awaits, and after it has begun.

import { OctavoError, received } from "../../sdk/errors.js";
import { toJson } from "../display/json.js";
import type { LaneReader, LaneWriter } from "./buffer-lane.js";
import type { CommMessage, CommResult, WorkerEvent } from "./protocol.js";

/** What comes over a comm. */
export interface CommEvent {
	/** JSON that the other side sent. */
	// biome-ignore lint/suspicious/noExplicitAny: its form is between the two sides, as with JSON.parse.
	readonly data: any;
	readonly metadata: Record<string, unknown>;
	/** Bytes that came beside the data, each in memory of its own. */
	readonly buffers: Uint8Array[];
}

/** What may go beside the data of a message. */
export interface CommSendOptions {
	/** Bytes that the data should not spell out; copied before the call returns. Default none. */
	buffers?: readonly (ArrayBuffer | SharedArrayBuffer | ArrayBufferView)[];
	/** Default empty. */
	metadata?: Record<string, unknown>;
}

/** Takes a message; what it throws is shown on stderr. */
export type CommHandler = (event: CommEvent) => unknown;

/** One open channel. */
export interface Comm {
	/** Identity, as both sides know it. */
	readonly id: string;
	/** Name of what it was opened for. */
	readonly target: string;
	/** True once either side has closed it. */
	readonly closed: boolean;
	/**
	 * Sends a message.
	 *
	 * @param data anything that JSON can say; default nothing
	 * @throws {OctavoError} ERR_OCTAVO_COMM when it is closed; ERR_OCTAVO_OPTION for buffers that are no bytes
	 */
	send(data?: unknown, options?: CommSendOptions): void;
	/** Calls a handler for each message from now on; the function given back takes it away. */
	onMessage(handler: CommHandler): () => void;
	/** Calls a handler when the front end closes the comm. */
	onClose(handler: CommHandler): () => void;
	/** Closes it and tells the front end; again: nothing. */
	close(data?: unknown, options?: CommSendOptions): void;
}

/** Opens comms, and takes those that the front end opens. */
export interface Comms {
	/**
	 * Opens a comm to a target that the front end has registered. One that has not closes it again.
	 *
	 * @param data first message; default nothing
	 * @throws {OctavoError} ERR_OCTAVO_COMM for a target that is no name; ERR_OCTAVO_OPTION for buffers that are no bytes
	 */
	open(target: string, data?: unknown, options?: CommSendOptions): Comm;
	/**
	 * Takes comms that the front end opens to a target; the latest handler of a name counts. Without one they are closed.
	 *
	 * @param handler given the comm, and the message that opened it
	 * @returns takes the handler away
	 * @throws {OctavoError} ERR_OCTAVO_COMM for a target that is no name or a handler that is no function
	 */
	onOpen(target: string, handler: (comm: Comm, event: CommEvent) => unknown): () => void;
}

/** What the worker lends to its comms. */
export interface CommPort {
	send(event: WorkerEvent): void;
	readonly toFront: LaneWriter;
	readonly toWorker: LaneReader;
}

type Kind = CommMessage["kind"];

/** The comms of one worker. */
export class CommRegistry implements Comms {
	readonly #port: CommPort;
	readonly #targets = new Map<string, (comm: Comm, event: CommEvent) => unknown>();
	readonly #open = new Map<string, OpenComm>();

	constructor(port: CommPort) {
		this.#port = port;
	}

	open(target: string, data?: unknown, options: CommSendOptions = {}): Comm {
		checkTarget(target);
		const comm = this.#add(crypto.randomUUID().replaceAll("-", ""), target);
		try {
			this.#send("open", comm, data, options);
		} catch (error) {
			this.#open.delete(comm.id);
			throw error;
		}
		return comm;
	}

	onOpen(target: string, handler: (comm: Comm, event: CommEvent) => unknown): () => void {
		checkTarget(target);
		checkHandler(handler);
		this.#targets.set(target, handler);
		return () => {
			if (this.#targets.get(target) === handler) this.#targets.delete(target);
		};
	}

	/** Takes the bytes of a message out of the lane: at once, so that their place is free again. */
	take(message: CommMessage): CommEvent {
		const buffers = message.range ? this.#port.toWorker.read(message.range) : [];
		return { data: message.data, metadata: message.metadata, buffers };
	}

	/**
	 * Hands a message of the front end to its handlers. A comm whose opening fails is closed.
	 *
	 * @param call calls a handler; gives whether that went well
	 */
	async receive(
		message: CommMessage,
		event: CommEvent,
		call: (handler: () => unknown) => Promise<boolean>,
	): Promise<CommResult> {
		const { kind, commId, target = "" } = message;
		if (kind === "open") {
			const handler = this.#targets.get(target);
			if (!handler || this.#open.has(commId)) return { known: false };
			const opened = this.#add(commId, target);
			if (!(await call(() => handler(opened, event)))) opened.close();
			return { known: true };
		}
		const comm = this.#open.get(commId);
		if (!comm) return { known: false };
		if (kind === "close") {
			comm.closed = true;
			this.#open.delete(commId);
		}
		const handlers = [...(kind === "close" ? comm.closeHandlers : comm.messageHandlers)];
		await Promise.all(handlers.map((handler) => call(() => handler(event))));
		return { known: true };
	}

	#add(id: string, target: string): OpenComm {
		const comm = new OpenComm(id, target, (kind, data, options) => this.#send(kind, comm, data, options));
		this.#open.set(id, comm);
		return comm;
	}

	#send(kind: Kind, { id, target }: OpenComm, data: unknown, { buffers = [], metadata = {} }: CommSendOptions): void {
		const views = Array.from(buffers, bytesOf);
		this.#port.send({
			type: "comm",
			kind,
			commId: id,
			...(kind === "open" ? { target } : {}),
			data: toJson(data) ?? {},
			metadata: toJson(metadata) as Record<string, unknown>,
			...(views.length > 0 ? { range: this.#port.toFront.write(views) } : {}),
		});
		if (kind === "close") this.#open.delete(id);
	}
}

class OpenComm implements Comm {
	readonly id: string;
	readonly target: string;
	closed = false;
	readonly messageHandlers = new Set<CommHandler>();
	readonly closeHandlers = new Set<CommHandler>();
	readonly #deliver: (kind: Kind, data: unknown, options: CommSendOptions) => void;

	constructor(id: string, target: string, deliver: (kind: Kind, data: unknown, options: CommSendOptions) => void) {
		this.id = id;
		this.target = target;
		this.#deliver = deliver;
	}

	send(data?: unknown, options: CommSendOptions = {}): void {
		if (this.closed) {
			throw new OctavoError("ERR_OCTAVO_COMM", `Expected an open comm but the one to ${this.target} is closed`);
		}
		this.#deliver("msg", data, options);
	}

	onMessage(handler: CommHandler): () => void {
		return keep(this.messageHandlers, handler);
	}

	onClose(handler: CommHandler): () => void {
		return keep(this.closeHandlers, handler);
	}

	close(data?: unknown, options: CommSendOptions = {}): void {
		if (this.closed) return;
		this.#deliver("close", data, options);
		this.closed = true;
	}
}

function keep(handlers: Set<CommHandler>, handler: CommHandler): () => void {
	checkHandler(handler);
	handlers.add(handler);
	return () => void handlers.delete(handler);
}

function checkTarget(target: unknown): void {
	if (typeof target === "string" && target !== "") return;
	throw new OctavoError("ERR_OCTAVO_COMM", `Expected a name as target but received ${received(target)}`);
}

function checkHandler(handler: unknown): void {
	if (typeof handler === "function") return;
	throw new OctavoError("ERR_OCTAVO_COMM", `Expected a function as handler but received ${received(handler)}`);
}

function bytesOf(buffer: unknown): ArrayBufferView {
	if (ArrayBuffer.isView(buffer)) return buffer;
	if (buffer instanceof ArrayBuffer || buffer instanceof SharedArrayBuffer) return new Uint8Array(buffer);
	throw new OctavoError(
		"ERR_OCTAVO_OPTION",
		`Expected an ArrayBuffer or a view of one among buffers but received ${received(buffer)}`,
	);
}
