// Who is told of what the cell worker sends.

import type { StreamName } from "../protocol/outlet.js";
import type { MessageContent } from "../wire/frames.js";
import type { WorkerEvent } from "./protocol.js";

/** What the worker sends beside replies. */
export interface WorkerListener {
	/** Text that cells printed. */
	stream(name: StreamName, text: string): void;
	/** Text that native code and child processes wrote; whose it is nobody knows. */
	nativeText(name: StreamName, text: string): void;
	event(event: WorkerEvent): void;
	/** An output, with the content of its message: as JSON bytes where it is large. */
	display(content: MessageContent, update: boolean): void;
	/** A line from the debugger's end in the worker. */
	debug(line: string): void;
	/** The worker has ended by itself; another is there. */
	died(): void;
}
