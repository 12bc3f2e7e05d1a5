// What the debugger asks of the main thread: the notebook's variables, values on display, what cells were made from. The
// inspector calls these methods from outside, also while the thread is stopped; user code finds them nowhere but below
// the kernel's own global.

import { fileURLToPath } from "node:url";
import { Script } from "node:vm";
import { bundleNow, bundleOf, type MimeBundle } from "../display/mime.js";
import { DebugValues, type Page, type Variable } from "./debug-values.js";
import type { CellScript } from "./errors.js";

/** A script that the debugger may stop in. */
export interface DebugSource {
	/** Name that its frames have. */
	label: string;
	code: string;
	/** Where it is, if it is a file. */
	path?: string;
	script: CellScript;
}

/** What a script of some URL was made from. */
export type KnownSource = DebugSource & { url: string };

/** What the tools work on. */
export interface DebugTarget {
	/** The notebook's variables by name. */
	variables: Record<string, unknown>;
	/** The cell or file of a script, by the script's name. */
	source(script: string): DebugSource | undefined;
	/** Makes a variable known to the cells that follow. */
	declare(name: string): void;
	/** Ranges of a script's `try` blocks that have a `catch`, as offsets. */
	tryRanges(code: string): readonly (readonly [begin: number, end: number])[];
	/** Calls what is evaluated so that an interrupt ends it. */
	evaluate<T>(call: () => T): T;
}

/** Names in a cell's scope that its author did not write. */
const hidden = new Set(["exports", "require", "tsLastExpr", "arguments", "this"]);
const identifier = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u;

/** The debugger's tools on the main thread. */
export class DebugTools {
	readonly #target: DebugTarget;
	readonly #values = new DebugValues();
	readonly #hits = new Map<string, number>();
	readonly #complaints = new Set<string>();
	#lent: string[] = [];

	constructor(target: DebugTarget) {
		this.#target = target;
	}

	/** The cells and files that scripts were made from, without the scripts that were made from neither. */
	sources(urls: readonly string[]): KnownSource[] {
		return urls.flatMap((url) => {
			const source = this.#target.source(url.startsWith("file:") ? fileURLToPath(url) : url);
			return source ? { ...source, url } : [];
		});
	}

	/** Forgets the values that the debugger holds. */
	release(): void {
		this.#values.release();
	}

	/** Number under which {@link variables} lists the variables of scopes, inner ones first. */
	scope(...scopes: object[]): number {
		return this.#values.holdScopes(scopes, hidden);
	}

	/** Number under which {@link variables} lists the notebook's variables. */
	notebook(): number {
		return this.#values.holdScopes([this.#target.variables], hidden);
	}

	/** Children of a value; undefined when it is no longer held. */
	variables(reference: number, page: Page): Variable[] | undefined {
		return this.#values.variables(reference, page);
	}

	/** Describes the value of an expression. */
	describe(value: unknown, expression: string): Variable {
		return this.#values.describe(value, expression, expression);
	}

	/** A value within a logged message. */
	text(value: unknown): string {
		return typeof value === "string" ? value : this.#values.describe(value, "", "").value;
	}

	/** What a front end shows for a value, made at once: what is shown asynchronously comes as text. */
	show(value: unknown): MimeBundle {
		return bundleNow(value);
	}

	/** What a front end shows for a value; for a thread that is not stopped. */
	showLater(value: unknown): Promise<MimeBundle> {
		return bundleOf(value);
	}

	/** Lets the next evaluation see the notebook's variables that its scope does not name. To be taken back. */
	lend(): void {
		for (const name of Object.keys(this.#target.variables)) {
			if (name in globalThis || hidden.has(name)) continue;
			this.#lent.push(name);
			Object.defineProperty(globalThis, name, {
				configurable: true,
				get: () => this.#target.variables[name],
				set: (value) => {
					this.#target.variables[name] = value;
				},
			});
		}
	}

	/** Calls what is evaluated so that an interrupt ends it. */
	evaluate<T>(call: () => T): T {
		return this.#target.evaluate(call);
	}

	/** Takes back what {@link lend} lent. */
	takeBack(): void {
		for (const name of this.#lent) Reflect.deleteProperty(globalThis, name);
		this.#lent = [];
	}

	/** Makes a value a variable of the notebook; false for what is no name of a variable. */
	copy(name: string, value: unknown): boolean {
		if (!identifier.test(name) || hidden.has(name)) return false;
		try {
			new Function(`let ${name};`);
		} catch {
			return false;
		}
		const { variables } = this.#target;
		if (!Object.hasOwn(variables, name)) this.#target.declare(name);
		if (Object.getOwnPropertyDescriptor(variables, name)?.set) variables[name] = value;
		else Object.defineProperty(variables, name, { value, writable: true, enumerable: true, configurable: true });
		return true;
	}

	/** Whether a `try` with a `catch` surrounds a place in a script; line and column from 0. */
	catches(code: string, line: number, column: number): boolean {
		let offset = column;
		for (let at = 0, count = 0; count < line; count++) {
			at = code.indexOf("\n", at) + 1;
			offset = at + column;
		}
		return this.#target.tryRanges(code).some(([begin, end]) => begin <= offset && offset < end);
	}

	/** Why a text is no program; empty when it is one. */
	syntaxError(text: string): string {
		try {
			new Script(text);
			return "";
		} catch (error) {
			return String(error);
		}
	}

	/** Counts a breakpoint's hits. */
	hit(id: string): number {
		const count = (this.#hits.get(id) ?? 0) + 1;
		this.#hits.set(id, count);
		return count;
	}

	/** Says once that a breakpoint's condition or message failed, which V8 itself passes over in silence. */
	complain(id: string, error: unknown): void {
		if (this.#complaints.has(id)) return;
		this.#complaints.add(id);
		console.error(`The breakpoint's expression failed: ${error}`);
	}
}
