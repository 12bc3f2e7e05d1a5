// What TypeScript offers at a place of a cell, kept for the next question: who types on asks at the same place again, with
// another part of a name behind it, and of that the list is independent. Only what begins with it is chosen from the list.

import type TypeScript from "typescript";

type Ts = typeof TypeScript;
/** What TypeScript's inner module of completions gives. */
type Offered = TypeScript.CompletionInfo | undefined;
/** Parts of TypeScript that have no published types. */
interface Internal {
	getTouchingPropertyName(file: TypeScript.SourceFile, position: number): TypeScript.Node;
	stringToToken(text: string): TypeScript.SyntaxKind | undefined;
}

/** The names at one place. */
interface List {
	program: WeakRef<TypeScript.Program>;
	declarations: string;
	before: string;
	behind: string;
	/** Whether the place is a name's, whatever it is; else it is the cursor's alone. */
	isName: boolean;
	offered: Offered;
}

/** Keeps the newest list. */
export class CompletionLists {
	readonly #ts: Ts & Internal;
	#newest: List | undefined;

	constructor(ts: Ts) {
		this.#ts = ts as Ts & Internal;
	}

	/**
	 * Gives what is offered at a position, in UTF-16 units.
	 *
	 * @param declarations those of earlier cells
	 * @param find asks TypeScript
	 */
	offered(
		program: TypeScript.Program,
		file: TypeScript.SourceFile,
		declarations: string,
		position: number,
		find: () => Offered,
	): Offered {
		const { text } = file;
		const name = this.#nameAt(file, position);
		const [start, end] = name ?? [position, position];
		const [before, behind] = [text.slice(0, start), text.slice(end)];
		const isName = name !== undefined;
		const known = this.#newest;
		const isKnown =
			known?.isName === isName &&
			known.before === before &&
			known.behind === behind &&
			known.declarations === declarations &&
			known.program.deref() === program;
		const offered = isKnown ? known.offered : find();
		if (!isKnown) this.#newest = { program: new WeakRef(program), declarations, before, behind, isName, offered };
		// A copy: tslab moves the span.
		const span = offered?.optionalReplacementSpan && { ...offered.optionalReplacementSpan };
		if (span && isName) Object.assign(span, { start, length: end - start });
		return offered && { ...offered, ...(span && { optionalReplacementSpan: span }) };
	}

	/** The range of the name that the cursor is in or behind; a word of the language may mean something where it stands. */
	#nameAt(file: TypeScript.SourceFile, position: number): [start: number, end: number] | undefined {
		const node = this.#ts.getTouchingPropertyName(file, position);
		if (!this.#ts.isIdentifier(node) || this.#ts.stringToToken(node.text) !== undefined) return undefined;
		const start = node.getStart(file);
		return start < position ? [start, node.end] : undefined;
	}
}
