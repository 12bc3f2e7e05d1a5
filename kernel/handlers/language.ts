// complete_request, inspect_request and is_complete_request. The protocol counts cursor positions in code points,
// TypeScript in UTF-16 units: an emoji before the cursor would shift every answer.

import type { CompleteResult, InspectResult, IsCompleteResult } from "../cell/protocol.js";
import type { WorkerProcess } from "../cell/worker-process.js";
import type { Handler } from "../protocol/router.js";

/** Gives the UTF-16 offset of a code point position; positions beyond the end mean the end. */
function toUtf16(text: string, codePoints: number): number {
	let offset = 0;
	for (let count = 0; count < codePoints && offset < text.length; count++) {
		offset += text.codePointAt(offset)! > 0xffff ? 2 : 1;
	}
	return offset;
}

/** Gives the code point position of a UTF-16 offset. */
function toCodePoints(text: string, offset: number): number {
	return [...text.slice(0, offset)].length;
}

function codeAndCursor(content: Record<string, unknown>): { code: string; cursor: number } {
	const code = typeof content.code === "string" ? content.code : "";
	const cursor = Number.isInteger(content.cursor_pos)
		? Math.max(0, content.cursor_pos as number)
		: Number.POSITIVE_INFINITY;
	return { code, cursor: toUtf16(code, cursor) };
}

const escaped = (text: string) => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);

/** Documentation as HTML: its paragraphs, as they stand. */
function paragraphs(text = ""): string {
	const parts = text.split(/\n{2,}/).filter((part) => part !== "");
	return parts.map((part) => `<p>${escaped(part)}</p>`).join("");
}

/** Makes the handlers of language requests. */
export function languageHandlers(worker: WorkerProcess): [string, Handler][] {
	const complete: Handler = async ({ content }) => {
		const { code, cursor } = codeAndCursor(content);
		const { start, end, matches } = await worker.request<CompleteResult>({ method: "complete", code, cursor });
		const cursor_start = toCodePoints(code, start);
		const cursor_end = toCodePoints(code, end);
		const types = matches.map(({ text, type }) => ({ text, type, start: cursor_start, end: cursor_end }));
		return {
			content: {
				status: "ok",
				matches: matches.map(({ text }) => text),
				cursor_start,
				cursor_end,
				metadata: { _jupyter_types_experimental: types },
			},
		};
	};

	const inspect: Handler = async ({ content }) => {
		const { code, cursor } = codeAndCursor(content);
		const { signature, documentation } = await worker.request<InspectResult>({ method: "inspect", code, cursor });
		if (signature === undefined) return { content: { status: "ok", found: false, data: {}, metadata: {} } };
		const data = {
			"text/plain": documentation === undefined ? signature : `${signature}\n\n${documentation}`,
			"text/html": `<pre>${escaped(signature)}</pre>${paragraphs(documentation)}`,
			"text/markdown": `\`\`\`typescript\n${signature}\n\`\`\`${documentation === undefined ? "" : `\n\n${documentation}`}`,
		};
		return { content: { status: "ok", found: true, data, metadata: {} } };
	};

	const isComplete: Handler = async ({ content }) => {
		const { code } = codeAndCursor(content);
		const result = await worker.request<IsCompleteResult>({ method: "isComplete", code });
		// The protocol has a status of its own here, in place of ok.
		return { content: { ...result } as unknown as { status: "ok" } };
	};

	return [
		["complete_request", complete],
		["inspect_request", inspect],
		["is_complete_request", isComplete],
	];
}
