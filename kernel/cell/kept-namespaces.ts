// Namespaces and what cells add to the globals or to modules, which stay for later cells: tslab forgets them after one cell.

import type TypeScript from "typescript";

type Ts = typeof TypeScript;

/**
 * The texts of earlier cells' namespaces and additions that a cell does not replace.
 *
 * @param declarations of the earlier cells
 */
export function keptNamespaces(
	ts: Ts,
	declarations: TypeScript.SourceFile,
	cell: TypeScript.SourceFile & { locals?: Map<string, unknown> },
): string[] {
	const added = new Set<string>();
	for (const statement of cell.statements) if (isAddition(ts, statement)) addNames(ts, statement, added);
	return declarations.statements.flatMap((statement) => {
		if (!ts.isModuleDeclaration(statement)) return [];
		const names = new Set<string>();
		const isAdded = isAddition(ts, statement);
		if (isAdded) addNames(ts, statement, names);
		const { text } = (statement as TypeScript.ModuleDeclaration).name;
		const isReplaced = isAdded
			? names.size > 0 && [...names].every((name) => added.has(name))
			: cell.locals?.has(text) === true;
		return isReplaced ? [] : [statement.getText(declarations)];
	});
}

/** Takes out of a file's names those that an `export` cannot name: what it adds to the globals or to modules. */
export function dropUnexportable(file: TypeScript.SourceFile | undefined): void {
	const { locals } = (file ?? {}) as { locals?: Map<string, unknown> };
	for (const name of locals?.keys() ?? []) if (name === "__global" || /^["']/.test(name)) locals!.delete(name);
}

/** Whether a declaration adds to the globals or to a module. */
export function isInAddition(ts: Ts, declaration: TypeScript.Node): boolean {
	for (let node = declaration; node.parent; node = node.parent) {
		if (ts.isSourceFile(node.parent)) return isAddition(ts, node as TypeScript.Statement);
	}
	return false;
}

function isAddition(ts: Ts, statement: TypeScript.Statement): statement is TypeScript.ModuleDeclaration {
	if (!ts.isModuleDeclaration(statement)) return false;
	return ts.isStringLiteral(statement.name) || (statement.flags & ts.NodeFlags.GlobalAugmentation) !== 0;
}

/** Adds the names that an addition declares, those of an interface's members one by one. */
function addNames(ts: Ts, { name, body }: TypeScript.ModuleDeclaration, into: Set<string>): void {
	const add = (...parts: string[]) => into.add([name.text, ...parts].join("\n"));
	for (const statement of body && ts.isModuleBlock(body) ? body.statements : []) {
		const { name: own, members } = statement as Partial<TypeScript.InterfaceDeclaration>;
		if (members) for (const member of members) add(own!.text, member.name?.getText() ?? member.getText());
		else if (own) add(own.text);
		else if (ts.isVariableStatement(statement)) {
			for (const declaration of statement.declarationList.declarations) add(declaration.name.getText());
		} else add(statement.getText());
	}
}
