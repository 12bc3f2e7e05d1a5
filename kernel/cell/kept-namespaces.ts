// Namespaces and what cells add to the globals or to modules, which stay for later cells: tslab forgets them after one cell.

import type TypeScript from "typescript";

type Ts = typeof TypeScript;

/** The texts of earlier cells' namespaces that a cell does not declare anew, and of what they add. */
export function keptNamespaces(
	ts: Ts,
	declarations: TypeScript.SourceFile,
	cell: TypeScript.SourceFile & { locals?: Map<string, unknown> },
): string[] {
	return declarations.statements.flatMap((statement) => {
		if (!ts.isModuleDeclaration(statement)) return [];
		const isReplaced = !isAddition(ts, statement) && cell.locals?.has(statement.name.text) === true;
		return isReplaced ? [] : [statement.getText(declarations)];
	});
}

/**
 * Declarations of earlier cells without the additions that a cell replaces, since it adds all of their names itself: run
 * again with another type, it would contradict itself.
 */
export function withoutReplaced(ts: Ts, declarations: string, code: string): string {
	const isThere = (text: string) => /\bdeclare\s+(?:global|module)\b/.test(text);
	if (!isThere(code) || !isThere(declarations)) return declarations;
	const parse = (text: string) => ts.createSourceFile("cell.ts", text, ts.ScriptTarget.ESNext, true);
	const added = new Set<string>();
	for (const statement of parse(code).statements) if (isAddition(ts, statement)) addNames(ts, statement, added);
	const file = parse(declarations);
	const replaced = file.statements.filter((statement) => {
		const names = new Set<string>();
		if (isAddition(ts, statement)) addNames(ts, statement, names);
		return names.size > 0 && [...names].every((name) => added.has(name));
	});
	return replaced.reduceRight(
		(text, statement) => text.slice(0, statement.getStart(file)) + text.slice(statement.end),
		declarations,
	);
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

/** Whether a statement adds to the globals or to a module. */
export function isAddition(ts: Ts, statement: TypeScript.Statement): boolean {
	if (!ts.isModuleDeclaration(statement)) return false;
	return ts.isStringLiteral(statement.name) || (statement.flags & ts.NodeFlags.GlobalAugmentation) !== 0;
}

/** Adds the names that an addition declares, those of an interface's members one by one. */
function addNames(ts: Ts, addition: TypeScript.Statement, into: Set<string>): void {
	const { name, body } = addition as TypeScript.ModuleDeclaration;
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
