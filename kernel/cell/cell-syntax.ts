// What a cell may write that the converter does not take: `export` before a declaration, which every declaration of a cell
// has anyway, a first line that names an interpreter, and `using` at the top level, whose resources live until the cell has
// ended and its value is shown.

import type TypeScript from "typescript";

type Ts = typeof TypeScript;

/**
 * Blanks out what only exports, so that every other character stays where it was; makes a comment of a first line that names
 * an interpreter.
 */
export function withoutExports(ts: Ts, cell: string): string {
	const code = cell.replace(/^#!/, "//");
	if (!/\bexport\b/.test(code)) return code;
	const file = ts.createSourceFile("cell.ts", code, ts.ScriptTarget.ESNext, true);
	let text = code;
	const blank = (start: number, end: number) => {
		text = text.slice(0, start) + text.slice(start, end).replace(/[^\n]/g, " ") + text.slice(end);
	};
	for (const statement of file.statements) {
		if (ts.isExportDeclaration(statement) && !statement.moduleSpecifier) blank(statement.getStart(file), statement.end);
		if (!ts.canHaveModifiers(statement)) continue;
		const modifiers = ts.getModifiers(statement) ?? [];
		const isDeclaration = ts.isClassDeclaration(statement) || ts.isFunctionDeclaration(statement);
		if (isDeclaration && !statement.name && modifiers[1]?.kind === ts.SyntaxKind.DefaultKeyword) {
			// Without a name it is a value: no declaration, which would need one.
			const start = statement.getStart(file);
			blank(start, modifiers[1].end);
			text = `${text.slice(0, start)}void${text.slice(start + 4)}`;
			continue;
		}
		const named =
			(statement as TypeScript.DeclarationStatement).name !== undefined || ts.isVariableStatement(statement);
		for (const modifier of named ? modifiers : []) {
			const exports = modifier.kind === ts.SyntaxKind.ExportKeyword || modifier.kind === ts.SyntaxKind.DefaultKeyword;
			if (exports) blank(modifier.getStart(file), modifier.end);
		}
	}
	return text;
}

/** Makes each `using` at the top level a constant that the cell's resources know of. */
export function topLevelUsing(ts: Ts): TypeScript.TransformerFactory<TypeScript.SourceFile> {
	return ({ factory }) =>
		(file) => {
			const change = (statement: TypeScript.Statement): TypeScript.Statement => {
				if (!ts.isVariableStatement(statement)) return statement;
				const list = statement.declarationList;
				const kind = list.flags & ts.NodeFlags.BlockScoped;
				if (kind !== ts.NodeFlags.Using && kind !== ts.NodeFlags.AwaitUsing) return statement;
				const use = factory.createPropertyAccessExpression(factory.createIdentifier("__octavo__"), "use");
				const awaited = kind === ts.NodeFlags.AwaitUsing ? factory.createTrue() : factory.createFalse();
				const declarations = list.declarations.map((declaration) => {
					const { name, exclamationToken, type, initializer } = declaration;
					const kept = initializer && factory.createCallExpression(use, undefined, [initializer, awaited]);
					return factory.updateVariableDeclaration(declaration, name, exclamationToken, type, kept);
				});
				const constants = factory.createVariableDeclarationList(declarations, ts.NodeFlags.Const);
				return factory.updateVariableStatement(statement, statement.modifiers, ts.setTextRange(constants, list));
			};
			return factory.updateSourceFile(file, file.statements.map(change));
		};
}
