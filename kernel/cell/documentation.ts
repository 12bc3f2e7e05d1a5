// Documentation of libraries. They are parsed without it: it is a quarter of their trees, and only inspection asks for it.
// A library that it asks about is parsed once more, and what stands before a declaration is put where it belongs.

import type TypeScript from "typescript";

type Ts = typeof TypeScript;
/** A node with the fields in which TypeScript keeps its documentation, and what it has found there. */
type Documented = TypeScript.Node & { jsDoc?: { parent: TypeScript.Node }[]; jsDocCache?: unknown };
type Library = TypeScript.SourceFile & { jsDocParsingMode?: TypeScript.JSDocParsingMode };

/** How TypeScript parses a source: the language version alone, or with others. */
export type SourceOptions = TypeScript.ScriptTarget | TypeScript.CreateSourceFileOptions;

/** Gives the options with which a library is parsed. */
export function libraryOptions(ts: Ts, options: SourceOptions): TypeScript.CreateSourceFileOptions {
	const all = typeof options === "object" ? options : { languageVersion: options };
	return { ...all, jsDocParsingMode: ts.JSDocParsingMode.ParseNone };
}

/** Adds documentation to libraries. */
export class Documentation {
	readonly #ts: Ts;

	constructor(ts: Ts) {
		this.#ts = ts;
	}

	/** Adds that of the files in which symbols, and what their members inherit from, are declared. */
	add(symbols: readonly (TypeScript.Symbol | undefined)[], checker: TypeScript.TypeChecker): void {
		const ts = this.#ts;
		const seen = new Set<TypeScript.Symbol>();
		const visit = (symbol: TypeScript.Symbol | undefined): void => {
			if (!symbol || seen.has(symbol)) return;
			seen.add(symbol);
			if (symbol.flags & ts.SymbolFlags.Alias) visit(checker.getAliasedSymbol(symbol));
			for (const declaration of symbol.declarations ?? []) {
				this.#addFile(declaration.getSourceFile());
				const { parent } = declaration;
				if (!parent || !(ts.isClassLike(parent) || ts.isInterfaceDeclaration(parent))) continue;
				const bases = parent.heritageClauses?.flatMap(({ types }) => [...types]) ?? [];
				for (const base of bases) {
					const type = checker.getTypeAtLocation(base);
					visit(type.symbol);
					visit(checker.getPropertyOfType(type, symbol.name));
					if (type.symbol) visit(checker.getPropertyOfType(checker.getTypeOfSymbol(type.symbol), symbol.name));
				}
			}
		};
		for (const symbol of symbols) visit(symbol);
	}

	#addFile(file: Library): void {
		if (file.jsDocParsingMode !== this.#ts.JSDocParsingMode.ParseNone) return;
		file.jsDocParsingMode = this.#ts.JSDocParsingMode.ParseAll;
		this.#copy(this.#ts.createSourceFile(file.fileName, file.text, file.languageVersion, true), file);
	}

	/** From a tree to another of the same text. */
	#copy(from: Documented, to: Documented): void {
		if (from.jsDoc) {
			for (const comment of from.jsDoc) comment.parent = to;
			to.jsDoc = from.jsDoc;
			to.jsDocCache = undefined;
		}
		const children: TypeScript.Node[] = [];
		this.#ts.forEachChild(from, (child) => void children.push(child));
		let next = 0;
		this.#ts.forEachChild(to, (child) => {
			const twin = children[next++];
			// Unless the file is another by now.
			if (twin?.kind === child.kind && twin.pos === child.pos) this.#copy(twin, child);
		});
	}
}
