// HTTP answers for errors, in the shape that Jupyter's clients read: message, reason, and this package's code beside it.

import type { Duplex } from "node:stream";
import type { FastifyReply } from "fastify";
import { OctavoError, type OctavoErrorCode } from "../../sdk/errors.js";

/** An error that knows its HTTP status. */
export class HttpError extends OctavoError {
	readonly status: number;

	constructor(status: number, code: OctavoErrorCode, message: string) {
		super(code, message);
		this.status = status;
	}
}

const statusOfCode: Partial<Record<string, number>> = {
	ERR_OCTAVO_KERNEL_NAME: 404,
	ERR_OCTAVO_KERNEL_START: 500,
};

const statusOfSystemError: Partial<Record<string, number>> = {
	ENOENT: 404,
	ENOTDIR: 404,
	EACCES: 403,
	EPERM: 403,
	EROFS: 403,
	EISDIR: 400,
	EINVAL: 400,
	ELOOP: 400,
	EXDEV: 400,
	EEXIST: 409,
	ENOTEMPTY: 400,
	ENAMETOOLONG: 400,
	ENOSPC: 507,
	EDQUOT: 507,
};

const refusals: Partial<Record<string, readonly [status: string, expected: string]>> = {
	HPE_HEADER_OVERFLOW: ["431 Request Header Fields Too Large", "headers of at most 16 KiB"],
	ERR_HTTP_REQUEST_TIMEOUT: ["408 Request Timeout", "the whole request in time"],
};

/**
 * Answers with an error. One of the file system says what it refused in its own words, but not where on this machine; one
 * of the HTTP layer keeps its own name as the reason.
 */
export function sendError(reply: FastifyReply, error: unknown): FastifyReply {
	const { code = "", message, statusCode } = error as Error & { code?: string; statusCode?: number };
	if (error instanceof OctavoError) {
		const status = error instanceof HttpError ? error.status : (statusOfCode[code] ?? 500);
		return reply.code(status).send({ message, reason: code, code });
	}
	const status = statusOfSystemError[code];
	if (status !== undefined) {
		const words = /^\w+: ([^,]*)/.exec(message)?.[1] ?? message;
		const own = status === 404 ? "ERR_OCTAVO_CONTENTS_MISSING" : "ERR_OCTAVO_CONTENTS_SYSTEM";
		return reply.code(status).send({ message: `The file system refused: ${words}`, reason: code, code: own });
	}
	if (statusCode !== undefined && statusCode < 500) {
		return reply.code(statusCode).send({ message, reason: code, code: "ERR_OCTAVO_REQUEST" });
	}
	return reply.code(500).send({ message, reason: code || "error", code: "ERR_OCTAVO_SERVER" });
}

/** Answers what is no HTTP that a request could be made of, and ends the connection. */
export function refuseClient(error: Error & { code?: string }, socket: Duplex): void {
	if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy();
	const [status, words] = refusals[error.code ?? ""] ?? ["400 Bad Request", "a well-formed HTTP request"];
	const message = `Expected ${words}`;
	const body = JSON.stringify({ message, reason: error.code ?? "error", code: "ERR_OCTAVO_REQUEST" });
	socket.end(
		`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: application/json\r\n` +
			`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
	);
}
