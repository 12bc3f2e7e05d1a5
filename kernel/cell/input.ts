// Questions to the user. Each comes in two forms: a promise, and a call that blocks the cell's thread until the answer is
// there; both end at an interrupt. The blocking form looks for its answer in the lane from the front process, since the
// pipes are read by the thread that it blocks.

import { OctavoError, received } from "../../sdk/errors.js";
import type { LaneReader } from "./buffer-lane.js";
import type { CellContext, CellContexts } from "./cell-context.js";
import type { WorkerEvent } from "./protocol.js";

/** Pause between two looks for an answer, in milliseconds. */
const lookMs = 10;

/** `prompt`, as globals.ts documents it. */
export interface PromptFunction {
	(text?: string, fallback?: string): Promise<string>;
	hidden(text?: string): Promise<string>;
	sync(text?: string, fallback?: string): string;
	hiddenSync(text?: string): string;
}

/** `confirm`, as globals.ts documents it. */
export interface ConfirmFunction {
	(text?: string): Promise<boolean>;
	sync(text?: string): boolean;
}

/** What asks the front end. */
export type InputEvent = Extract<WorkerEvent, { type: "input" }>;

/** Asks the user on behalf of cells. */
export class Inputs {
	readonly #send: (event: InputEvent) => void;
	readonly #lane: LaneReader;
	readonly #wait: <T>(promise: Promise<T>) => PromiseLike<T> | T;
	readonly #contexts: CellContexts;
	readonly #waiting = new Map<number, { asker: CellContext; resolve: (text: string) => void }>();
	#count = 0;

	/**
	 * @param wait awaits as cell code does: an interrupt rejects it
	 * @param contexts tells whose cell asks
	 */
	constructor(
		send: (event: InputEvent) => void,
		lane: LaneReader,
		wait: <T>(promise: Promise<T>) => PromiseLike<T> | T,
		contexts: CellContexts,
	) {
		this.#send = send;
		this.#lane = lane;
		this.#wait = wait;
		this.#contexts = contexts;
	}

	/** Says that a cell is over: questions of its that nobody answered are forgotten. */
	end(cell: CellContext): void {
		cell.takesQuestions = undefined;
		for (const [id, { asker }] of this.#waiting) if (asker === cell) this.#waiting.delete(id);
	}

	/** Takes an answer. */
	answer(inputId: number, text: string): void {
		this.#waiting.get(inputId)?.resolve(text);
		this.#waiting.delete(inputId);
	}

	/** `prompt` and `confirm` for cells. */
	functions(): { prompt: PromptFunction; confirm: ConfirmFunction } {
		const orElse = (text: string, fallback: unknown) =>
			text === "" && fallback !== undefined ? String(fallback) : text;
		const prompt: PromptFunction = Object.assign(
			async (text = "", fallback?: string) => orElse(await this.#ask(text, false), fallback),
			{
				hidden: (text = "") => this.#ask(text, true),
				sync: (text = "", fallback?: string) => orElse(this.#askSync(text, false), fallback),
				hiddenSync: (text = "") => this.#askSync(text, true),
			},
		);
		const confirm: ConfirmFunction = Object.assign(
			async (text = "") => {
				for (;;) {
					const answer = yesOrNo(await this.#ask(`${text} [y/n] `, false));
					if (answer !== undefined) return answer;
				}
			},
			{
				sync: (text = "") => {
					for (;;) {
						const answer = yesOrNo(this.#askSync(`${text} [y/n] `, false));
						if (answer !== undefined) return answer;
					}
				},
			},
		);
		return { prompt, confirm };
	}

	async #ask(prompt: unknown, password: boolean): Promise<string> {
		const inputId = this.#request(prompt, password, false);
		const asker = this.#contexts.current;
		return await this.#wait(new Promise<string>((resolve) => this.#waiting.set(inputId, { asker, resolve })));
	}

	#askSync(prompt: unknown, password: boolean): string {
		const inputId = this.#request(prompt, password, true);
		const never = new Int32Array(new SharedArrayBuffer(4));
		for (;;) {
			const text = this.#lane.note(inputId);
			if (text !== undefined) return text;
			Atomics.wait(never, 0, 0, lookMs);
		}
	}

	#request(prompt: unknown, password: boolean, sync: boolean): number {
		if (typeof prompt !== "string") {
			throw new OctavoError("ERR_OCTAVO_STDIN", `Expected a text to ask with but received ${received(prompt)}`);
		}
		const { takesQuestions } = this.#contexts.current;
		if (takesQuestions !== true) {
			const came = takesQuestions === false ? "one that takes no questions (allow_stdin is false)" : "no running cell";
			throw new OctavoError("ERR_OCTAVO_STDIN", `Expected a cell of a front end that answers but received ${came}`);
		}
		const inputId = ++this.#count;
		this.#send({ type: "input", inputId, prompt, password, sync });
		return inputId;
	}
}

function yesOrNo(text: string): boolean | undefined {
	const answer = text.trim().toLowerCase();
	if (answer === "y" || answer === "yes") return true;
	return answer === "n" || answer === "no" ? false : undefined;
}
