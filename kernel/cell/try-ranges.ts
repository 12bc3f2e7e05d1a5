// Where a script catches what is thrown, for the debugger's question whether an exception is caught.

import type TypeScript from "typescript";

/** Ranges of the `try` blocks that have a `catch` in JavaScript text, as offsets. */
export function tryRanges(ts: typeof TypeScript, code: string): [begin: number, end: number][] {
	const ranges: [number, number][] = [];
	const visit = (node: TypeScript.Node): void => {
		if (ts.isTryStatement(node) && node.catchClause) ranges.push([node.tryBlock.pos, node.tryBlock.end]);
		ts.forEachChild(node, visit);
	};
	visit(ts.createSourceFile("script.js", code, ts.ScriptTarget.ES2022));
	return ranges;
}
