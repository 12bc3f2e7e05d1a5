// What files hold, between their bytes and the JSON of the contents interface.

import { received } from "../../sdk/errors.js";
import { HttpError } from "./errors.js";

/** What there is below the root. */
export type ContentsType = "directory" | "notebook" | "file";

/** What a client sends to save. */
export interface SaveRequest {
	type?: unknown;
	format?: unknown;
	content?: unknown;
}

/** What a client sends to make something. */
export interface CreateRequest {
	type?: unknown;
	ext?: unknown;
	/** Path of a file to copy. */
	copy_from?: unknown;
}

const maxFileBytes = 256 * 1024 * 1024;

/** Refuses a file that is too large to be given in one answer. @throws {HttpError} 413 */
export function checkSize(path: string, size: number | null): void {
	if ((size ?? 0) <= maxFileBytes) return;
	throw new HttpError(
		413,
		"ERR_OCTAVO_CONTENTS_SIZE",
		`Expected at most ${maxFileBytes} bytes but ${path} has ${size}`,
	);
}

/** Gives the type that a client names; undefined where it names none. @throws {HttpError} 400 for another */
export function checkedType(type: unknown): ContentsType | undefined {
	if (type === undefined || type === "notebook" || type === "file" || type === "directory") return type;
	throw new HttpError(
		400,
		"ERR_OCTAVO_CONTENTS_TYPE",
		`Expected notebook, file or directory as type but received ${received(type)}`,
	);
}

/** Reads a notebook. @throws {HttpError} 400 for what is no JSON */
export function parseNotebook(bytes: Buffer, path: string): unknown {
	try {
		return JSON.parse(bytes.toString("utf8"));
	} catch (error) {
		throw new HttpError(
			400,
			"ERR_OCTAVO_NOTEBOOK",
			`Expected a notebook in JSON at ${path} but ${(error as Error).message}`,
		);
	}
}

/** Reads text; undefined for what is not UTF-8. */
export function decodeText(bytes: Buffer): string | undefined {
	try {
		return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
	} catch {
		return undefined;
	}
}

/** Gives what is written for a request. @throws {HttpError} 400 for what is none of the formats */
export function bytesOf({ type, format, content }: SaveRequest): Buffer | string {
	if (type === "notebook") {
		if (typeof content !== "object" || content === null || Array.isArray(content)) {
			throw new HttpError(
				400,
				"ERR_OCTAVO_NOTEBOOK",
				`Expected a notebook object as content but received ${received(content)}`,
			);
		}
		return `${JSON.stringify(content, null, 1)}\n`;
	}
	if (typeof content !== "string") {
		throw new HttpError(400, "ERR_OCTAVO_CONTENTS_TYPE", `Expected a string as content but received ${typeof content}`);
	}
	if (format === "base64") return base64Bytes(content);
	if (format === undefined || format === null || format === "text") return content;
	throw new HttpError(
		400,
		"ERR_OCTAVO_CONTENTS_TYPE",
		`Expected text or base64 as format but received ${received(format)}`,
	);
}

/** Node.js reads up to the first mistake; that would be half a file. */
function base64Bytes(content: string): Buffer {
	const text = content.replace(/\s+/g, "");
	if (/^[\w+/-]*={0,2}$/.test(text)) return Buffer.from(text, "base64");
	throw new HttpError(400, "ERR_OCTAVO_CONTENTS_TYPE", "Expected base64 as content but received other characters");
}
