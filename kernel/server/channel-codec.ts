// The two ways in which kernel messages travel on a WebSocket: the binary layout of v1.kernel.websocket.jupyter.org,
// which moves the JSON parts as they are, and the default one, a single JSON object (with a binary form for buffers).

import { OctavoError } from "../../sdk/errors.js";
import type { Channel, RawMessage } from "../wire/client-sockets.js";

/** Name of the binary subprotocol. */
export const v1Protocol = "v1.kernel.websocket.jupyter.org";

const channels: readonly string[] = ["shell", "control", "stdin", "iopub"];
const maxParts = 1024;

/** Encodes for a WebSocket: a string goes as a text frame, a Buffer as a binary one. */
export function encodeForSocket(message: RawMessage, protocol: string): string | Buffer {
	return protocol === v1Protocol ? encodeV1(message) : encodeDefault(message);
}

/**
 * Decodes what a WebSocket received.
 *
 * @throws {OctavoError} ERR_OCTAVO_MESSAGE_FRAMES when it is malformed
 */
export function decodeFromSocket(data: Buffer, isBinary: boolean, protocol: string): RawMessage {
	if (protocol === v1Protocol) {
		if (!isBinary) malformed("a binary frame", "a text frame");
		return decodeV1(data);
	}
	return isBinary ? decodeDefaultBinary(data) : decodeDefault(data, []);
}

// v1: uint64 (little-endian) number of offsets, the offsets, then channel, four JSON parts and buffers. The last offset
// is the length of the whole.
function encodeV1({ channel, parts, buffers }: RawMessage): Buffer {
	const pieces = [Buffer.from(channel), ...parts, ...buffers];
	const head = Buffer.alloc(8 * (pieces.length + 2));
	head.writeBigUInt64LE(BigInt(pieces.length + 1), 0);
	let offset = head.length;
	head.writeBigUInt64LE(BigInt(offset), 8);
	for (const [i, piece] of pieces.entries()) {
		offset += piece.length;
		head.writeBigUInt64LE(BigInt(offset), 8 * (i + 2));
	}
	return Buffer.concat([head, ...pieces], offset);
}

function decodeV1(data: Buffer): RawMessage {
	if (data.length < 8) malformed("an offset count", `${data.length} bytes`);
	const numOffsets = Number(data.readBigUInt64LE(0));
	if (numOffsets < 6 || numOffsets > maxParts || data.length < 8 * (numOffsets + 1)) {
		malformed("6 offsets or more within the message", `${numOffsets} in ${data.length} bytes`);
	}
	const offsets = Array.from({ length: numOffsets }, (_, i) => Number(data.readBigUInt64LE(8 * (i + 1))));
	const pieces = slices(data, offsets, 8 * (numOffsets + 1));
	const [channel, header, parent, metadata, content, ...buffers] = pieces;
	return {
		channel: checkChannel(channel!.toString("utf8")),
		parts: [header!, parent!, metadata!, content!].map(checkJsonObject) as RawMessage["parts"],
		buffers,
	};
}

function encodeDefault({ channel, parts, buffers }: RawMessage): string | Buffer {
	const [header, parent, metadata, content] = parts.map((part) => part.toString("utf8"));
	const { msg_id, msg_type } = JSON.parse(header!) as Record<string, unknown>;
	const json =
		`{"channel":"${channel}","msg_id":${JSON.stringify(msg_id)},"msg_type":${JSON.stringify(msg_type)},` +
		`"header":${header},"parent_header":${parent},"metadata":${metadata},"content":${content},"buffers":[]}`;
	if (buffers.length === 0) return json;
	const pieces = [Buffer.from(json), ...buffers];
	const head = Buffer.alloc(4 * (pieces.length + 1));
	head.writeUInt32BE(pieces.length, 0);
	let offset = head.length;
	for (const [i, piece] of pieces.entries()) {
		head.writeUInt32BE(offset, 4 * (i + 1));
		offset += piece.length;
	}
	return Buffer.concat([head, ...pieces], offset);
}

function decodeDefaultBinary(data: Buffer): RawMessage {
	const numParts = data.length >= 4 ? data.readUInt32BE(0) : 0;
	if (numParts < 1 || numParts > maxParts || data.length < 4 * (numParts + 1)) {
		malformed("offsets within the message", `${numParts} in ${data.length} bytes`);
	}
	const offsets = Array.from({ length: numParts }, (_, i) => data.readUInt32BE(4 * (i + 1)));
	const [json, ...buffers] = slices(data, [...offsets, data.length], 4 * (numParts + 1));
	return decodeDefault(json!, buffers);
}

function decodeDefault(json: Buffer, buffers: Buffer[]): RawMessage {
	const message = parseObject(json);
	const parts = ["header", "parent_header", "metadata", "content"].map((name) => {
		const part = message[name] ?? {};
		if (typeof part !== "object" || Array.isArray(part)) malformed(`an object for ${name}`, typeof part);
		return Buffer.from(JSON.stringify(part));
	});
	return {
		channel: checkChannel(String(message.channel ?? "shell")),
		parts: parts as RawMessage["parts"],
		buffers,
	};
}

function slices(data: Buffer, offsets: number[], start: number): Buffer[] {
	let before = start;
	for (const offset of offsets) {
		if (!(offset >= before && offset <= data.length))
			malformed(`an offset from ${before} to ${data.length}`, `${offset}`);
		before = offset;
	}
	return offsets.slice(0, -1).map((offset, i) => data.subarray(offset, offsets[i + 1]));
}

function checkChannel(channel: string): Channel {
	if (!channels.includes(channel)) malformed(`a channel of ${channels.join(", ")}`, JSON.stringify(channel));
	return channel as Channel;
}

function checkJsonObject(part: Buffer): Buffer {
	parseObject(part);
	return part;
}

function parseObject(json: Buffer): Record<string, unknown> {
	let value: unknown;
	try {
		value = JSON.parse(json.toString("utf8"));
	} catch (error) {
		malformed("JSON", (error as Error).message);
	}
	if (typeof value !== "object" || value === null || Array.isArray(value)) malformed("a JSON object", typeof value);
	return value as Record<string, unknown>;
}

function malformed(expected: string, came: string): never {
	throw new OctavoError("ERR_OCTAVO_MESSAGE_FRAMES", `Expected ${expected} on the WebSocket but received ${came}`);
}
