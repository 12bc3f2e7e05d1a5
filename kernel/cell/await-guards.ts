// Rewrites the awaits, `for await` loops and dynamic imports of a cell into calls of the worker's helpers, after the type
// check, so that an interrupt can reject each of them.

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
 * @returns a function of the node, and of whether it stands at the cell's top level
 */
export function awaitGuard(
	ts: typeof TypeScript,
	context: TypeScript.TransformationContext,
	notes: AwaitNotes,
): (node: TypeScript.Node, top: boolean) => TypeScript.Node {
	const { factory } = context;
	const helper = (name: string, argument?: TypeScript.Expression) => {
		const property = factory.createPropertyAccessExpression(factory.createIdentifier("__octavo__"), name);
		return argument ? factory.createCallExpression(property, undefined, [argument]) : property;
	};
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
			return ts.setTextRange(helper("import", node.arguments[0]), node);
		}
		return node;
	};
}
