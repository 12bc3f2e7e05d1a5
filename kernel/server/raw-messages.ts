// The few messages that a server itself sends to a kernel or to its clients.

import { randomUUID } from "node:crypto";
import { protocolVersion } from "../protocol/messages.js";
import type { Channel, RawMessage } from "../wire/client-sockets.js";

/** Makes a message of the server's own. */
export function makeMessage(
	channel: Channel,
	type: string,
	content: Record<string, unknown>,
	session: string,
): RawMessage {
	const header = {
		msg_id: randomUUID(),
		msg_type: type,
		session,
		username: "server",
		date: new Date().toISOString(),
		version: protocolVersion,
	};
	const parts = [header, {}, {}, content].map((part) => Buffer.from(JSON.stringify(part)));
	return { channel, parts: parts as RawMessage["parts"], buffers: [] };
}

/** Reads one JSON part; a malformed one counts as empty. */
export function parsePart(part: Buffer): Record<string, unknown> {
	try {
		return (JSON.parse(part.toString("utf8")) ?? {}) as Record<string, unknown>;
	} catch {
		return {};
	}
}
