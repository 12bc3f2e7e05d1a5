// What earlier cells have added to the globals and to modules, in a file of its own: such a file makes the checker start
// anew, and the file of the other declarations, which each cell changes, would do so for every cell.

import type TypeScript from "typescript";
import { isAddition } from "./kept-namespaces.js";

type Ts = typeof TypeScript;

/** Declarations of earlier cells in two parts. */
export interface SplitDeclarations {
	/** Additions that name nothing which cells declare. */
	additions: string;
	rest: string;
}

/** Splits the declarations of earlier cells. */
export function splitAdditions(ts: Ts, declarations: string): SplitDeclarations {
	if (!/\bdeclare\s+(?:global|module)\b/.test(declarations)) return { additions: "", rest: declarations };
	const file = ts.createSourceFile("cells.d.ts", declarations, ts.ScriptTarget.ESNext, true);
	const isAdded = (statement: TypeScript.Statement) => isAddition(ts, statement);
	const own = new Set<string>();
	for (const statement of file.statements) if (!isAdded(statement)) addIdentifiers(ts, statement, own);
	const additions: string[] = [];
	let [rest, at] = ["", 0];
	for (const statement of file.statements) {
		const named = new Set<string>();
		if (!isAdded(statement)) continue;
		addIdentifiers(ts, statement, named);
		if ([...named].some((name) => own.has(name))) continue;
		rest += declarations.slice(at, statement.getFullStart());
		// Without what is before it: the text stays the same from cell to cell.
		additions.push(statement.getText(file));
		at = statement.end;
	}
	return { additions: additions.join("\n"), rest: rest + declarations.slice(at) };
}

/** Adds the names that stand in a node and may be declared outside of it: not those behind a dot or of members. */
function addIdentifiers(ts: Ts, node: TypeScript.Node, into: Set<string>): void {
	const visit = (child: TypeScript.Node): void => {
		const { parent } = child;
		const isMember =
			(ts.isQualifiedName(parent) && parent.right === child) ||
			(ts.isTypeElement(parent) && parent.name === child) ||
			(ts.isParameter(parent) && parent.name === child);
		if (ts.isIdentifier(child) && !isMember) into.add(child.text);
		ts.forEachChild(child, visit);
	};
	ts.forEachChild(node, visit);
}
