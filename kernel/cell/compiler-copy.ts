// A copy of TypeScript's exports with what tslab's own, older fork of it adds. tslab is given this copy instead of the
// fork: cells get the language of today, and the copy can be tuned without another user of the compiler seeing it.

import { createRequire, Module } from "node:module";
import type TypeScript from "typescript";
import { CompletionLists } from "./completion-lists.js";
import { Documentation } from "./documentation.js";
import { tslabTypescriptPath, typescriptPath } from "./packages.js";
import type { Snapshot } from "./snapshot.js";

type Ts = typeof TypeScript;
type Loose = Record<string, unknown>;
// biome-ignore lint/suspicious/noExplicitAny: TypeScript's inner functions have no published types.
type Internal = Record<string, any>;

const require = createRequire(import.meta.url);

/**
 * Loads the compiler, and leaves a copy of its exports where tslab will find it.
 *
 * @returns the compiler, and the copy to tune
 */
export function loadTypeScript(snapshot: Snapshot | undefined): { ts: Ts; copy: Loose } {
	const ts = snapshot?.typescript ?? (require(typescriptPath) as Ts);
	const inner = ts as unknown as Internal;
	const copy: Loose = snapshot?.copy ?? { ...ts };
	copy.getNullTransformationContext = () => inner.nullTransformationContext;
	copy.getDefaultTypeRoots = () => [];
	copy.getQuickInfoAtPosition = quickInfo(inner);
	copy.Completions = { ...inner.Completions, getCompletionsAtPositionForTslab: completions(inner) };
	place(tslabTypescriptPath, copy);
	return { ts, copy };
}

/**
 * Loads tslab's converter, without semver, which it asks for one number: that takes longer to load than all of tslab.
 *
 * @returns what the module exports
 */
export function loadConverter(): Internal {
	const semver = createRequire(require.resolve("tslab")).resolve("semver");
	const loaded = require.cache[semver];
	place(semver, { major: (version: string) => Number(/\d+/.exec(version)![0]) });
	try {
		return require("tslab/dist/converter.js");
	} finally {
		// A cell may import the real one.
		if (loaded) require.cache[semver] = loaded;
		else delete require.cache[semver];
	}
}

function completions(inner: Internal) {
	const lists = new CompletionLists(inner as unknown as Ts);
	return (
		_: object,
		program: TypeScript.Program,
		log: unknown,
		cell: TypeScript.SourceFile,
		position: number,
		...rest: unknown[]
	): TypeScript.CompletionInfo | undefined => {
		// tslab's host is empty; what completes an import asks it for the options.
		const host = { getCompilationSettings: () => program.getCompilerOptions() };
		const find = () => inner.Completions.getCompletionsAtPosition(host, program, log, cell, position, ...rest);
		// tslab has put the cell below the declarations of earlier ones.
		const declarations = cell.parent as TypeScript.Node as TypeScript.SourceFile;
		return lists.offered(program, cell, declarations.text, position, find);
	};
}

function place(path: string, exports: Loose): void {
	const module = new Module(path);
	Object.assign(module, { filename: path, loaded: true, exports });
	require.cache[path] = module as NodeJS.Module;
}

/** What the language service tells of the name at a position, without the service around it. */
function quickInfo(inner: Internal) {
	const documentation = new Documentation(inner as unknown as Ts);
	return (
		file: TypeScript.SourceFile,
		checker: TypeScript.TypeChecker,
		token: TypeScript.CancellationToken,
		position: number,
	): object | undefined => {
		const node = inner.getTouchingPropertyName(file, position) as TypeScript.Node;
		if (node === file) return undefined;
		const { parent } = node;
		const isCallee = inner.isNewExpression(parent) && node.pos === parent.pos;
		const asked: TypeScript.Node = isCallee ? (parent as TypeScript.NewExpression).expression : node;
		const symbol: TypeScript.Symbol | undefined = checker.getSymbolAtLocation(asked);
		const textSpan = inner.createTextSpanFromNode(asked, file);
		const container = inner.getContainerNode(asked);
		documentation.add([symbol, checker.getTypeAtLocation(asked).symbol], checker);
		if (!symbol || checker.isUnknownSymbol(symbol)) {
			if (!inner.isExpression(asked) || inner.isLabelName(asked)) return undefined;
			const type = checker.getTypeAtLocation(asked);
			return {
				textSpan,
				displayParts: inner.typeToDisplayParts(checker, type, container),
				documentation: type.symbol?.getDocumentationComment(checker),
				tags: type.symbol?.getJsDocTags(checker),
			};
		}
		return checker.runWithCancellationToken(token, (own) => {
			const { displayParts, documentation, tags } = inner.SymbolDisplay.getSymbolDisplayPartsDocumentationAndSymbolKind(
				own,
				symbol,
				file,
				container,
				asked,
			);
			return { textSpan, displayParts, documentation, tags };
		});
	};
}
