// Rewrites the awaits, `for await` loops and dynamic imports of a cell into calls of the worker's helpers, after the type
// check, so that an interrupt can reject each of them. Done on the ES module that tslab makes of a cell.

import type TypeScript from "typescript";

/** What the rewriting notes on its way. */
export interface AwaitNotes {
	/** True when the cell awaits at its top level. */
	awaits: boolean;
	/** Specifiers of static imports that have values. */
	imports: string[];
}

/**
 * Makes every await of a cell one that an interrupt can reject, and dynamic imports real ones; notes top-level awaits
 * and static imports on the way.
 */
export function guardAwaits(
	ts: typeof TypeScript,
	notes: AwaitNotes,
): TypeScript.TransformerFactory<TypeScript.SourceFile> {
	const { factory } = ts;
	const helper = (name: string, argument: TypeScript.Expression) =>
		factory.createCallExpression(
			factory.createPropertyAccessExpression(factory.createIdentifier("__octavo__"), name),
			undefined,
			[argument],
		);
	return (context) => (file) => {
		for (const statement of file.statements) {
			const from =
				ts.isImportDeclaration(statement) || ts.isExportDeclaration(statement) ? statement.moduleSpecifier : undefined;
			if (from && ts.isStringLiteral(from)) notes.imports.push(from.text);
		}
		const visit = (node: TypeScript.Node, top: boolean): TypeScript.Node => {
			const inner = top && !ts.isFunctionLike(node) && !ts.isClassStaticBlockDeclaration(node);
			const next = ts.visitEachChild(node, (child) => visit(child, inner), context);
			if (ts.isAwaitExpression(next)) {
				if (inner) notes.awaits = true;
				return factory.updateAwaitExpression(next, helper("wait", next.expression));
			}
			if (ts.isForOfStatement(next) && next.awaitModifier) {
				if (inner) notes.awaits = true;
				const { awaitModifier, initializer, expression, statement } = next;
				return factory.updateForOfStatement(next, awaitModifier, initializer, helper("iterate", expression), statement);
			}
			if (
				ts.isCallExpression(next) &&
				next.expression.kind === ts.SyntaxKind.ImportKeyword &&
				next.arguments.length > 0
			) {
				return helper("import", next.arguments[0]!);
			}
			return next;
		};
		return visit(file, true) as TypeScript.SourceFile;
	};
}
