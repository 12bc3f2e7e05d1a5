// Rewrites what a function's body cannot have as it is into calls of the worker's helpers, after the type check: awaits and
// `for await` loops, so that an interrupt can reject each of them, dynamic imports, and `import.meta`.

import type TypeScript from "typescript";

/** What the rewriting notes on its way. */
export interface AwaitNotes {
	/** True when the cell awaits at its top level. */
	awaits: boolean;
	/** Specifiers of static imports that have values. */
	imports: string[];
}

/**
 * Gives the rewriting of one node whose children have been rewritten.
 *
 * @param path the file that is rewritten; default: a cell
 * @returns a function of the node, and of whether it stands at the cell's top level
 */
export function awaitGuard(
	ts: typeof TypeScript,
	context: TypeScript.TransformationContext,
	notes: AwaitNotes,
	path?: string,
): (node: TypeScript.Node, top: boolean) => TypeScript.Node {
	const { factory } = context;
	const helper = (name: string, ...values: TypeScript.Expression[]) =>
		factory.createCallExpression(
			factory.createPropertyAccessExpression(factory.createIdentifier("__octavo__"), name),
			undefined,
			values,
		);
	const place = path === undefined ? [] : [factory.createStringLiteral(path)];
	return (node, top) => {
		if (ts.isAwaitExpression(node)) {
			if (top) notes.awaits = true;
			return factory.updateAwaitExpression(node, helper("wait", node.expression));
		}
		if (ts.isForOfStatement(node) && node.awaitModifier) {
			if (top) notes.awaits = true;
			const { awaitModifier, initializer, expression, statement } = node;
			return factory.updateForOfStatement(node, awaitModifier, initializer, helper("iterate", expression), statement);
		}
		if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword && node.arguments[0]) {
			const [specifier, options] = node.arguments;
			const rest = options ? [place[0] ?? factory.createVoidZero(), options] : place;
			return ts.setTextRange(helper("import", specifier, ...rest), node);
		}
		if (ts.isMetaProperty(node) && node.keywordToken === ts.SyntaxKind.ImportKeyword) {
			return ts.setTextRange(helper("meta", ...place), node);
		}
		return node;
	};
}
