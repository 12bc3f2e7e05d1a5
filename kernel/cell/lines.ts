// Lines of a stream, as the kernel's processes send them to each other.

import type { Readable } from "node:stream";

/** Calls a function with each whole line of a stream in UTF-8, without its end. */
export function onLines(stream: Readable, take: (line: string) => void): void {
	let rest = "";
	stream.setEncoding("utf8").on("data", (text: string) => {
		const lines = (rest + text).split("\n");
		rest = lines.pop()!;
		for (const line of lines) take(line);
	});
}
