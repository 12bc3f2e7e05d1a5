// ZeroMQ frames to Jupyter message and back. The signature is verified over the raw bytes before anything is parsed,
// and a signature that was seen before is refused: a recorded execute request cannot be played again.

import { createHmac, timingSafeEqual } from "node:crypto";
import { OctavoError } from "../../sdk/errors.js";

/** The header of every Jupyter message. */
export interface MessageHeader {
	msg_id: string;
	msg_type: string;
	session: string;
	username: string;
	/** ISO 8601 time of creation. */
	date: string;
	/** Version of the messaging protocol. */
	version: string;
	/** The subshell that is to take a request; null or absent: the parent shell. */
	subshell_id?: string | null;
}

/** One Jupyter message, with the ZeroMQ identities it came from or goes to. */
export interface Message {
	identities: Buffer[];
	header: MessageHeader;
	parent_header: MessageHeader | Record<string, never>;
	metadata: Record<string, unknown>;
	content: Record<string, unknown>;
	buffers: Buffer[];
}

/** Content of a message to send: a value, or its JSON in UTF-8. */
export type MessageContent = Record<string, unknown> | Buffer;

/** A message to send. */
export type OutgoingMessage = Omit<Message, "content"> & { content: MessageContent };

const delimiter = Buffer.from("<IDS|MSG>");
const rememberedSignatures = 65_536;
const maxJsonBytes = 256 * 1024 * 1024;

/** Signs, verifies, encodes and decodes the messages of one connection. An empty key means unsigned messages. */
export class FrameCodec {
	readonly #key: string;
	#seen = new Set<string>();
	#seenBefore = new Set<string>();

	constructor(key: string) {
		this.#key = key;
	}

	/** Gives the frames to send: identities, delimiter, signature, four JSON parts, buffers. */
	encode(message: OutgoingMessage): Buffer[] {
		const parts = [message.header, message.parent_header, message.metadata, message.content].map((part) =>
			Buffer.isBuffer(part) ? part : Buffer.from(JSON.stringify(part)),
		);
		const signature = Buffer.from(this.#sign(parts));
		return [...message.identities, delimiter, signature, ...parts, ...message.buffers];
	}

	/**
	 * Verifies and then parses received frames.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_MESSAGE_SIGNATURE when forged, unsigned or played again;
	 *   ERR_OCTAVO_MESSAGE_FRAMES when malformed
	 */
	decode(frames: Buffer[]): Message {
		const at = frames.findIndex((frame) => frame.equals(delimiter));
		if (at < 0) malformed("a <IDS|MSG> delimiter", `${frames.length} frames without one`);
		const parts = frames.slice(at + 2, at + 6);
		const signature = frames[at + 1];
		if (parts.length < 4 || !signature) malformed("a signature and four parts after the delimiter", `${parts.length}`);
		this.#verify(signature, parts);
		if (parts.some((part) => part.length > maxJsonBytes))
			malformed(`parts under ${maxJsonBytes} bytes`, "a larger one");
		const [header, parent, metadata, content] = parts.map(parseObject) as [
			Record<string, unknown>,
			Record<string, unknown>,
			Record<string, unknown>,
			Record<string, unknown>,
		];
		for (const field of ["msg_id", "msg_type", "session"]) {
			if (typeof header[field] !== "string") malformed(`a string for header.${field}`, typeof header[field]);
		}
		return {
			identities: frames.slice(0, at),
			header: header as unknown as MessageHeader,
			parent_header: parent as Record<string, never>,
			metadata,
			content,
			buffers: frames.slice(at + 6),
		};
	}

	#sign(parts: Buffer[]): string {
		if (this.#key === "") return "";
		const hmac = createHmac("sha256", this.#key);
		for (const part of parts) hmac.update(part);
		return hmac.digest("hex");
	}

	#verify(signature: Buffer, parts: Buffer[]): void {
		if (this.#key === "") return;
		const expected = Buffer.from(this.#sign(parts));
		if (signature.length !== expected.length || !timingSafeEqual(signature, expected)) {
			throw new OctavoError("ERR_OCTAVO_MESSAGE_SIGNATURE", "Expected a message signed with this kernel's key");
		}
		const text = signature.toString("latin1");
		if (this.#seen.has(text) || this.#seenBefore.has(text)) {
			throw new OctavoError("ERR_OCTAVO_MESSAGE_SIGNATURE", "Expected a new message but received one played again");
		}
		this.#seen.add(text);
		if (this.#seen.size >= rememberedSignatures) {
			this.#seenBefore = this.#seen;
			this.#seen = new Set();
		}
	}
}

function parseObject(part: Buffer): Record<string, unknown> {
	let value: unknown;
	try {
		value = JSON.parse(part.toString("utf8"));
	} catch (error) {
		malformed("JSON", (error as Error).message);
	}
	if (typeof value !== "object" || value === null || Array.isArray(value)) malformed("a JSON object", typeof value);
	return value as Record<string, unknown>;
}

function malformed(expected: string, came: string): never {
	throw new OctavoError("ERR_OCTAVO_MESSAGE_FRAMES", `Expected ${expected} in a message but received ${came}`);
}
