// What the front process and the cell worker say to each other. The worker writes frames to file descriptor 3 with
// synchronous writes, so that output leaves even a cell that never returns; its interrupt thread reads requests from
// descriptor 4 and interrupts from descriptor 5.

import type { ErrorContent } from "../protocol/messages.js";
import type { LaneRange } from "./buffer-lane.js";
import type { Content, SentContent } from "./content.js";

/** Descriptor of the worker's frames to the front process. */
export const outputDescriptor = 3;
/** Descriptor of the front process's requests, one JSON value a line. */
export const requestDescriptor = 4;
/**
 * Descriptor of interrupts: each a line with the id of the newest request at that moment, since a line may be read when
 * the cell it was about is over and the next one runs. Its end says that the front process is gone.
 */
export const interruptDescriptor = 5;
/**
 * Descriptors of the lanes: for buffers from the front process to the worker, and back; and for the contents of outputs,
 * which wait for their turn while buffers do not.
 */
export const laneDescriptors = { toWorker: 6, toFront: 7, contents: 9 } as const;
/** Descriptor of the debugger's traffic with the inspector, both ways, one JSON value a line; see debug-relay.ts. */
export const debugDescriptor = 8;

/** MIME bundle with its metadata. */
export interface Bundle {
	data: Record<string, unknown>;
	metadata: Record<string, unknown>;
}

/** A request to the worker. */
export type WorkerRequest = { id: number } & (
	| {
			method: "execute";
			code: string;
			count: number;
			silent: boolean;
			cell: string;
			expressions: Record<string, string>;
			/** Whether the front end answers input requests of this cell. */
			stdin: boolean;
			mark: string;
			/** The subshell; absent: the parent shell. */
			shell?: string;
	  }
	| ({ method: "comm" } & CommMessage)
	| { method: "input"; inputId: number; text: string }
	| { method: "complete" | "inspect"; code: string; cursor: number; detail?: number }
	| { method: "isComplete"; code: string }
);

/** A comm message, either way. */
export interface CommMessage {
	kind: "open" | "msg" | "close";
	commId: string;
	/** Of an open. */
	target?: string;
	data: unknown;
	metadata: Record<string, unknown>;
	/** Where its buffers lie; absent where it has none. */
	range?: LaneRange;
}

/** Result of a `comm`: whether the comm is known, which for an open means that it is wanted. */
export interface CommResult {
	known: boolean;
}

/** Result of an `execute`. */
export interface ExecuteResult {
	error?: ErrorContent;
	/** Of the `execute_result`, where the last expression has a value to show. */
	content?: Content | SentContent;
	/** Its text, for the history. */
	text?: string;
	expressions: Record<string, unknown>;
}

/** Result of a `complete`; positions in UTF-16 units. */
export interface CompleteResult {
	start: number;
	end: number;
	matches: { text: string; type: string; signature?: string }[];
}

/** Result of an `inspect`, absent fields where nothing is known. */
export interface InspectResult {
	signature?: string;
	documentation?: string;
}

/** Result of an `isComplete`. */
export interface IsCompleteResult {
	status: "complete" | "incomplete" | "invalid";
	indent?: string;
}

/** Whose output it is: a comm request's while it is handled; else of a subshell's cells; with neither, of the parent shell's. */
export interface Owner {
	readonly request?: number;
	readonly shell?: string;
}

/** What a snapshot of a worker is made of. */
export interface SnapshotParts {
	/** File names of the libraries that every cell sees. */
	libraries: string[];
	/** Folder of those whose text is kept, since they may be rewritten. */
	ownTypes: string;
	/** TypeScript's number of the language version. */
	target: number;
}

/** A frame from the worker, beside the text of streams. */
export type WorkerEvent =
	/** The worker takes requests; one that was not started from a snapshot tells what to make one of. */
	| { type: "ready"; snapshot?: SnapshotParts }
	| { type: "reply"; id: number; result?: unknown; failure?: string }
	| { type: "display"; content: Content | SentContent; update: boolean }
	| { type: "clear"; wait: boolean }
	| ({ type: "comm" } & CommMessage)
	| { type: "input"; inputId: number; prompt: string; password: boolean; sync: boolean }
	/** What follows belongs to this owner; at first to the parent shell's cells. */
	| { type: "within"; owner: Owner };

/** Kinds of frames on the wire, each: length of the payload (4 bytes, little endian), kind (1 byte), payload in UTF-8. */
export const frameKind = { stdout: 1, stderr: 2, event: 3 } as const;
