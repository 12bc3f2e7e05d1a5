// HTTP answers for errors, in the shape that Jupyter's clients read: message, reason, and this package's code beside it.

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
	EISDIR: 400,
	EEXIST: 409,
	ENOTEMPTY: 400,
	ENAMETOOLONG: 400,
};

/** Answers with an error. */
export function sendError(reply: FastifyReply, error: unknown): FastifyReply {
	const { code, message, statusCode } = error as Error & { code?: string; statusCode?: number };
	const status =
		error instanceof HttpError
			? error.status
			: (statusCode ?? statusOfCode[code ?? ""] ?? statusOfSystemError[code ?? ""] ?? 500);
	return reply.code(status).send({ message, reason: code ?? "error", code: code ?? "ERR_OCTAVO_SERVER" });
}
