// The string literal around a cursor, also one that is not closed yet.

import type TypeScript from "typescript";
import type { StringAt } from "./paths.js";

/** Gives the string literal around a position of a cell, in UTF-16 units. */
export function stringAt(ts: typeof TypeScript, code: string, position: number): StringAt | undefined {
	let found: StringAt | undefined;
	const visit = (node: TypeScript.Node): void => {
		const start = node.getStart(parsed) + 1;
		const closed = node.end - 1 >= start && /["'`]/.test(code[node.end - 1]!) && node.end - 1 !== start - 1;
		if (ts.isStringLiteralLike(node) && start <= position && position <= (closed ? node.end - 1 : node.end)) {
			const { parent } = node;
			const called = ts.isCallExpression(parent) && /^(?:import|require)$/.test(parent.expression.getText(parsed));
			const isModule = called || ts.isImportDeclaration(parent) || ts.isExportDeclaration(parent);
			found = { start, text: code.slice(start, position), isModule };
		}
		ts.forEachChild(node, visit);
	};
	const parsed = ts.createSourceFile("cell.ts", code, ts.ScriptTarget.ES2022, true);
	visit(parsed);
	return found;
}
