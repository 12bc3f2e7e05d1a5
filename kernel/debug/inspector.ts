// The front process's side of the inspector: requests to the worker's main thread by way of its second thread, which
// answers while the main thread is stopped. One JSON value a line in both directions.

import { OctavoError } from "../../sdk/errors.js";

/** A line to the worker: an inspector request, or `open` and `close` of the inspector itself. */
export interface RelayRequest {
	id: number;
	method: string;
	params?: object;
}

/** A line from the worker: an answer or an event. */
type RelayMessage =
	| { id: number; result?: unknown; error?: { message?: string } }
	| { id?: undefined; method: string; params?: unknown };

/** Longest wait for an answer, in milliseconds: a main thread inside a native call answers when that call is over. */
const answerMs = 15_000;

interface Pending {
	resolve(value: unknown): void;
	reject(error: Error): void;
	timer: NodeJS.Timeout;
}

/** Requests to the inspector of one worker after the other. */
export class Inspector {
	readonly #send: (line: string) => void;
	readonly #event: (method: string, params: unknown) => void;
	#pending = new Map<number, Pending>();
	#nextId = 1;

	/**
	 * @param send writes to the worker
	 * @param event told of the inspector's events
	 */
	constructor(send: (line: string) => void, event: (method: string, params: unknown) => void) {
		this.#send = send;
		this.#event = event;
	}

	/**
	 * Asks the inspector.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_DEBUG when it refuses, does not answer in time, or its worker dies
	 */
	post<Result = unknown>(method: string, params?: object): Promise<Result> {
		const id = this.#nextId++;
		return new Promise<Result>((resolve, reject) => {
			const timer = setTimeout(() => {
				this.#pending.delete(id);
				reject(failure(`Expected an answer to ${method} within ${answerMs / 1000} s but the cell's thread is busy`));
			}, answerMs);
			this.#pending.set(id, { resolve: resolve as (value: unknown) => void, reject, timer });
			this.#send(`${JSON.stringify({ id, method, ...(params && { params }) } satisfies RelayRequest)}\n`);
		});
	}

	/** Takes one line from the worker. */
	receive(line: string): void {
		const message = JSON.parse(line) as RelayMessage;
		if (message.id === undefined) {
			this.#event(message.method, message.params);
			return;
		}
		const pending = this.#pending.get(message.id);
		if (!pending) return;
		this.#pending.delete(message.id);
		clearTimeout(pending.timer);
		if (message.error) pending.reject(failure(message.error.message ?? "The inspector refused"));
		else pending.resolve(message.result);
	}

	/** Rejects what a dead worker left unanswered. */
	abandon(): void {
		const pending = [...this.#pending.values()];
		this.#pending = new Map();
		for (const { reject, timer } of pending) {
			clearTimeout(timer);
			reject(failure("The cell worker ended before it answered the debugger"));
		}
	}
}

/** Makes the error of a debug request that cannot be met. */
export function failure(message: string): OctavoError {
	return new OctavoError("ERR_OCTAVO_DEBUG", message);
}
