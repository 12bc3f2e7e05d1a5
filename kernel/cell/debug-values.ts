// Values as a debugger lists them: name, one line of text, type, and a number by which their children are asked for.
// Runs while the main thread is stopped, so nothing here waits; getters are not called, and a proxy is not looked into.

import { types } from "node:util";
import { bundleNow } from "../display/mime.js";
import { textOf } from "../display/text.js";

/** A variable as the Debug Adapter Protocol describes it. */
export interface Variable {
	name: string;
	/** One line. */
	value: string;
	type: string;
	/** What to evaluate to get at it again; empty where no expression does. */
	evaluateName: string;
	/** Number of the held value whose children these are; 0: it has none. */
	variablesReference: number;
	/** Items of arrays, maps and sets. */
	indexedVariables?: number;
}

/** Part of a value's children. */
export interface Page {
	filter?: "indexed" | "named";
	/** First item. Default 0. */
	start?: number;
	/** Items; 0 or absent: all. */
	count?: number;
}

interface Held {
	target: object;
	path: string;
	/** Items of the target that are meant, where not all. */
	range?: { from: number; to: number };
	/** Names are variables, not properties. */
	scope?: boolean;
}

/** Longest one-line text, in UTF-16 units. */
const maxText = 240;
/** More items than this are listed in ranges of this many. */
const pageSize = 100;
/** Time that values may take to sum themselves up in one listing, in milliseconds; afterwards their plain text is given. */
const summaryMs = 100;
const displaySymbol = Symbol.for("Jupyter.display");

/** Holds the values that a debugger looks at, until it lets go of them. */
export class DebugValues {
	#held: Held[] = [];
	/** Numbers stay unique, so that one from before the last release finds nothing instead of another value. */
	#released = 0;
	#summaryEnd = 0;

	/** Forgets every value. */
	release(): void {
		this.#released += this.#held.length;
		this.#held = [];
	}

	/** Holds the variables of scopes, inner ones first, as one. */
	holdScopes(scopes: readonly object[], hidden: ReadonlySet<string>): number {
		const joined: Record<string, unknown> = {};
		for (const scope of scopes) {
			for (const name of Object.keys(scope)) {
				if (Object.hasOwn(joined, name) || hidden.has(name)) continue;
				try {
					joined[name] = (scope as Record<string, unknown>)[name];
				} catch {
					// Its declaration has not run yet.
				}
			}
		}
		return this.#hold({ target: joined, path: "", scope: true });
	}

	/** Describes one value. */
	describe(value: unknown, name: string, path: string): Variable {
		this.#summaryEnd = performance.now() + summaryMs;
		return this.#describe(value, name, path);
	}

	/** Children of a held value; undefined for a number that holds none. */
	variables(reference: number, { filter, start = 0, count = 0 }: Page): Variable[] | undefined {
		const held = this.#held[reference - 1 - this.#released];
		if (!held) return undefined;
		this.#summaryEnd = performance.now() + summaryMs;
		const from = held.range?.from ?? 0;
		const to = held.range?.to ?? numItems(held.target);
		const found: Variable[] = [];
		if (filter !== "named") {
			const first = Math.min(to, from + start);
			const end = count > 0 ? Math.min(to, first + count) : to;
			if (count === 0 && end - first > pageSize) found.push(...this.#ranges(held, first, end));
			else found.push(...this.#items(held, first, end));
		}
		if (filter !== "indexed" && !held.range) found.push(...this.#properties(held));
		return found;
	}

	#hold(held: Held): number {
		this.#held.push(held);
		return this.#held.length + this.#released;
	}

	#describe(value: unknown, name: string, path: string): Variable {
		const variable = { name, value: this.#summary(value), type: typeName(value), evaluateName: path };
		const leaf = typeof value !== "object" || value === null || types.isProxy(value);
		if (leaf) return { ...variable, variablesReference: 0 };
		const items = numItems(value);
		return {
			...variable,
			variablesReference: this.#hold({ target: value, path }),
			...(items > 0 && { indexedVariables: items }),
		};
	}

	/** A range of ranges where there are very many items. */
	#ranges({ target, path }: Held, from: number, to: number): Variable[] {
		let size = pageSize;
		while ((to - from) / size > pageSize) size *= pageSize;
		const found: Variable[] = [];
		for (let at = from; at < to; at += size) {
			const range = { from: at, to: Math.min(at + size, to) };
			found.push({
				name: `[${range.from} … ${range.to - 1}]`,
				value: "",
				type: "",
				evaluateName: "",
				variablesReference: this.#hold({ target, path, range }),
				indexedVariables: range.to - range.from,
			});
		}
		return found;
	}

	#items({ target, path }: Held, from: number, to: number): Variable[] {
		const found: Variable[] = [];
		if (types.isMap(target) || types.isSet(target)) {
			let at = 0;
			for (const entry of target.entries()) {
				if (at >= to) break;
				if (at++ < from) continue;
				const name = types.isMap(target) ? oneLine(textOf(entry[0])) : String(at - 1);
				found.push(this.#describe(entry[1], name, ""));
			}
			return found;
		}
		for (let at = from; at < to; at++) {
			found.push(this.#property(target, String(at), `[${at}]`, path && `${path}[${at}]`));
		}
		return found;
	}

	#properties({ target, path, scope }: Held): Variable[] {
		const isList = numItems(target) > 0 && !types.isMap(target) && !types.isSet(target);
		const names = types.isTypedArray(target) ? [] : Reflect.ownKeys(target);
		return names
			.filter((name) => !isList || (name !== "length" && !/^\d+$/.test(String(name))))
			.map((name) => {
				if (typeof name === "symbol") return this.#property(target, name, String(name), "");
				const plain = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name);
				const member = plain ? `${path}.${name}` : `${path}[${JSON.stringify(name)}]`;
				return this.#property(target, name, name, scope ? (plain ? name : "") : path && member);
			});
	}

	#property(target: object, key: string | symbol, name: string, path: string): Variable {
		const property = Object.getOwnPropertyDescriptor(target, key);
		if (property && !("value" in property)) {
			return { name, value: "(getter)", type: "accessor", evaluateName: path, variablesReference: 0 };
		}
		return this.#describe(property?.value, name, path);
	}

	/** What a value says of itself in its display's text, or Node's text of it. */
	#summary(value: unknown): string {
		if (typeof value === "function") return functionText(value);
		if (typeof value !== "object" || value === null || types.isProxy(value)) return oneLine(textOf(value));
		const { type, size } = { type: typeName(value), size: numItems(value) };
		try {
			const shows = displaySymbol in value && performance.now() < this.#summaryEnd;
			const own = shows ? bundleNow(value)?.data["text/plain"] : undefined;
			if (typeof own === "string") return oneLine(own);
		} catch {
			// What a value does to show itself is its own affair.
		}
		return size > pageSize && type !== "" ? `${type}(${size})` : oneLine(textOf(value, 1));
	}
}

/** Items of arrays, typed arrays, maps and sets. */
function numItems(value: object): number {
	if (types.isProxy(value)) return 0;
	if (types.isMap(value) || types.isSet(value)) return value.size;
	if (Array.isArray(value)) return value.length;
	return types.isTypedArray(value) ? value.length : 0;
}

/** Name of a value's class, found without calling anything of the value's. */
function typeName(value: unknown): string {
	if (value === null) return "null";
	if (typeof value !== "object") return typeof value;
	if (types.isProxy(value)) return "Proxy";
	for (let at: object | null = Object.getPrototypeOf(value); at && !types.isProxy(at); at = Object.getPrototypeOf(at)) {
		const made = Object.getOwnPropertyDescriptor(at, "constructor")?.value;
		if (typeof made !== "function" || types.isProxy(made)) continue;
		const name = Object.getOwnPropertyDescriptor(made, "name")?.value;
		if (typeof name === "string" && name !== "") return name;
	}
	return "Object";
}

function functionText(value: unknown): string {
	if (types.isProxy(value)) return "Proxy";
	const source = Function.prototype.toString.call(value);
	return oneLine(source.length > maxText ? source.slice(0, maxText + 1) : source);
}

function oneLine(text: string): string {
	const line = text.replace(/\s+/g, " ").trim();
	return line.length > maxText ? `${line.slice(0, maxText)}…` : line;
}
