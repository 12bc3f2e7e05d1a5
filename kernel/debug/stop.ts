// One stop of the main thread: its frames in the user's own code, their scopes, and what can be evaluated there. Frames
// of libraries and of the kernel are left out; what a frame holds can be asked for until the thread goes on.

import type { Variable } from "../cell/debug-values.js";
import { endable } from "./expression.js";
import { failure, type Inspector } from "./inspector.js";
import { type Sources, toSource } from "./sources.js";

/** The inspector's reference to a value. */
export interface RemoteObject {
	type?: string;
	objectId?: string;
	value?: unknown;
	unserializableValue?: string;
	description?: string;
}

/** A frame as the inspector gives it. */
export interface CallFrame {
	callFrameId: string;
	functionName: string;
	location: { scriptId: string; lineNumber: number; columnNumber?: number };
	scopeChain: { type: string; name?: string; object: RemoteObject }[];
	returnValue?: RemoteObject;
}

/** The inspector's event of a stop. */
export interface Paused {
	callFrames: CallFrame[];
	reason: string;
	data?: { scriptId?: string; url?: string; uncaught?: boolean; description?: string; reasons?: PausedReason[] };
	hitBreakpoints?: string[];
}

/** One of several reasons of a stop. */
export interface PausedReason {
	reason: string;
	auxData?: Paused["data"];
}

/** A frame as the protocol shows it; line and column from 1. */
export interface StackFrame {
	id: number;
	name: string;
	source: { name: string; path: string };
	line: number;
	column: number;
}

/** A scope as the protocol shows it. */
export interface Scope {
	name: string;
	variablesReference: number;
	expensive: boolean;
	presentationHint?: string;
}

/** Where the worker keeps the debugger's tools. */
const toolsExpression = "globalThis.__octavo__.debug";

/** Calls a method of the tools on the main thread, with values by reference. */
export async function callTools<Result>(
	inspector: Inspector,
	method: string,
	args: readonly (RemoteObject | { value: unknown })[],
	awaitPromise = false,
): Promise<Result> {
	const { result } = await inspector.post<{ result: RemoteObject }>("Runtime.evaluate", {
		expression: toolsExpression,
	});
	const called = await inspector.post<{ result: RemoteObject; exceptionDetails?: ExceptionDetails }>(
		"Runtime.callFunctionOn",
		{
			objectId: result.objectId,
			functionDeclaration: `function (...args) { return this.${method}(...args); }`,
			arguments: args.map(argument),
			returnByValue: true,
			awaitPromise,
			silent: true,
		},
	);
	if (called.exceptionDetails) throw failure(exceptionText(called.exceptionDetails));
	return called.result.value as Result;
}

/** What the inspector says of an exception. */
export interface ExceptionDetails {
	text: string;
	exception?: RemoteObject;
}

/** First line of an exception. */
export function exceptionText({ text, exception }: ExceptionDetails): string {
	const said = exception?.description ?? (exception && "value" in exception ? JSON.stringify(exception.value) : text);
	return said.split("\n")[0]!;
}

function argument(object: RemoteObject | { value: unknown }): object {
	const { objectId, unserializableValue, value } = object as RemoteObject;
	if (objectId !== undefined) return { objectId };
	return unserializableValue === undefined ? { value } : { unserializableValue };
}

interface Place {
	shown: StackFrame;
	callFrame: CallFrame;
}

/** The main thread at a stop. */
export class Stop {
	readonly event: Paused;
	readonly #inspector: Inspector;
	readonly #places: Place[] = [];

	/** @param firstId number of its innermost frame; those of earlier stops are smaller */
	constructor(event: Paused, sources: Sources, inspector: Inspector, firstId: number) {
		this.event = event;
		this.#inspector = inspector;
		const add = (name: string, id: string, line: number, column: number, callFrame: CallFrame) => {
			const script = sources.script(id);
			const source = script && toSource(script, { line, column });
			if (!script || !source) return;
			const shown: StackFrame = {
				id: firstId + this.#places.length,
				name: name || script.label,
				source: { name: script.label, path: script.path },
				line: source.line + 1,
				column: source.column + 1,
			};
			this.#places.push({ shown, callFrame });
		};
		for (const frame of event.callFrames) {
			const { scriptId, lineNumber, columnNumber } = frame.location;
			add(frame.functionName, scriptId, lineNumber, columnNumber ?? 0, frame);
		}
	}

	/** Frames, innermost first. */
	get frames(): StackFrame[] {
		return this.#places.map(({ shown }) => shown);
	}

	/** Whether the user's own code is on the stack. */
	get hasUserFrame(): boolean {
		return this.#places.length > 0;
	}

	/** Whose code the innermost frame of all runs; `made`: code of a cell that its author did not write. */
	top(sources: Sources): "user" | "made" | "library" {
		const [top] = this.event.callFrames;
		if (!top || !sources.script(top.location.scriptId)) return "library";
		return this.#places[0]?.callFrame === top ? "user" : "made";
	}

	/** Scopes of a frame: its own variables, those that its function closes over, the notebook's. */
	async scopes(frameId: number): Promise<Scope[]> {
		const { callFrame } = this.#place(frameId);
		const chain = callFrame.scopeChain;
		const isLocal = ({ type }: { type: string }) => /^(local|block|catch|with|eval)$/.test(type);
		const scopes: Scope[] = [];
		const add = async (name: string, objects: RemoteObject[], presentationHint?: string) => {
			const variablesReference = await callTools<number>(this.#inspector, "scope", objects);
			scopes.push({ name, variablesReference, expensive: false, ...(presentationHint && { presentationHint }) });
		};
		const own = chain.findLastIndex(({ type }) => type === "local") + 1 || chain.findIndex((scope) => !isLocal(scope));
		const locals = chain.slice(0, Math.max(0, own)).filter(isLocal);
		await add(
			"Locals",
			locals.map(({ object }) => object),
			"locals",
		);
		for (const { type, name, object } of chain.slice(Math.max(0, own))) {
			if (type === "closure" || type === "block" || type === "catch" || type === "module") {
				await add(type === "module" ? "Module" : name ? `Closure (${name})` : "Closure", [object]);
			}
		}
		const notebook = await callTools<number>(this.#inspector, "notebook", []);
		scopes.push({ name: "Notebook", variablesReference: notebook, expensive: false, presentationHint: "globals" });
		return scopes;
	}

	/** Evaluates an expression in a frame; the notebook's variables are seen behind the frame's own. */
	async evaluate(frameId: number, expression: string, timeout: number): Promise<RemoteObject> {
		const { callFrame } = this.#place(frameId);
		await callTools(this.#inspector, "lend", []);
		try {
			const { result, exceptionDetails } = await this.#inspector.post<{
				result: RemoteObject;
				exceptionDetails?: ExceptionDetails;
			}>("Debugger.evaluateOnCallFrame", {
				callFrameId: callFrame.callFrameId,
				expression: endable(expression),
				silent: true,
				timeout,
			});
			if (exceptionDetails) throw failure(exceptionText(exceptionDetails));
			return result;
		} finally {
			await callTools(this.#inspector, "takeBack", []);
		}
	}

	/**
	 * Whether nothing of the user's code or of the libraries it called catches what was thrown.
	 *
	 * @param within look no further than the innermost frame of the user's
	 */
	async escapes(sources: Sources, within: boolean): Promise<boolean> {
		const outermost = this.event.callFrames.findLastIndex(({ location }) => sources.script(location.scriptId));
		for (const { location } of this.event.callFrames.slice(0, outermost + 1)) {
			const isUser = sources.script(location.scriptId) !== undefined;
			if (within && isUser) return true;
			if (await this.#catches(location.scriptId, location.lineNumber, location.columnNumber ?? 0)) return false;
		}
		return true;
	}

	async #catches(scriptId: string, line: number, column: number): Promise<boolean> {
		const { scriptSource } = await this.#inspector.post<{ scriptSource: string }>("Debugger.getScriptSource", {
			scriptId,
		});
		return callTools(this.#inspector, "catches", [{ value: scriptSource }, { value: line }, { value: column }]);
	}

	#place(frameId: number): Place {
		const place = this.#places.find(({ shown }) => shown.id === frameId);
		if (!place) throw failure(`Expected a frameId of the present stop but received ${frameId}`);
		return place;
	}
}

/** Describes a value for the protocol. */
export function describe(inspector: Inspector, object: RemoteObject, expression: string): Promise<Variable> {
	return callTools<Variable>(inspector, "describe", [object, { value: expression }]);
}
