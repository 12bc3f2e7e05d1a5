// The uses of names in a cell, each as what it means there: a property of an imported module, an earlier cell's variable,
// or a global that an earlier cell added to and that tslab took for a variable of it.

import type TypeScript from "typescript";
import type { CellNodes, ImportedName } from "./cell-nodes.js";
import { isInAddition } from "./kept-namespaces.js";

type Ts = typeof TypeScript;

/** What decides about a name. */
export interface NameSources {
	checker: TypeScript.TypeChecker;
	/** Declarations of earlier cells. */
	declarations: TypeScript.SourceFile | undefined;
	/** Local names that stand for a property of an imported module. */
	imported: ReadonlyMap<string, ImportedName>;
}

/** Rewrites the uses of names. */
export class CellUses {
	readonly #ts: Ts;
	readonly #nodes: CellNodes;
	readonly #transformation: TypeScript.TransformationContext;
	readonly #guard: (node: TypeScript.Node, top: boolean) => TypeScript.Node;
	readonly #sources: NameSources;

	/** @param guard rewrites a node whose children have been rewritten */
	constructor(
		ts: Ts,
		nodes: CellNodes,
		transformation: TypeScript.TransformationContext,
		guard: (node: TypeScript.Node, top: boolean) => TypeScript.Node,
		sources: NameSources,
	) {
		this.#ts = ts;
		this.#nodes = nodes;
		this.#transformation = transformation;
		this.#guard = guard;
		this.#sources = sources;
	}

	/** Rewrites a node and all below it. @param top whether it stands outside of every function */
	visit(node: TypeScript.Node, top: boolean): TypeScript.Node {
		const ts = this.#ts;
		const global = this.#globalOf(node);
		if (global) return global;
		if (ts.isIdentifier(node)) return this.#meaning(node) ?? node;
		if (ts.isShorthandPropertyAssignment(node)) {
			const value = this.#meaning(node.name);
			return value ? this.#nodes.factory.createPropertyAssignment(node.name.text, value) : node;
		}
		const inner = top && !ts.isFunctionLike(node) && !ts.isClassStaticBlockDeclaration(node);
		const visitChild = (child: TypeScript.Node) => (isName(ts, node, child) ? child : this.visit(child, inner));
		const next = ts.visitEachChild(node, visitChild, this.#transformation);
		return this.#guard(this.#asFunction(node, next), inner);
	}

	/** Has an imported name called as a function, not as the module's method. */
	#asFunction(node: TypeScript.Node, next: TypeScript.Node): TypeScript.Node {
		const ts = this.#ts;
		if (!ts.isCallExpression(next) || !ts.isCallExpression(node) || next.expression === node.expression) return next;
		if (!ts.isIdentifier(node.expression) || !ts.isPropertyAccessExpression(next.expression)) return next;
		const { factory } = this.#nodes;
		const bare = factory.createComma(factory.createNumericLiteral(0), next.expression);
		const called = factory.createParenthesizedExpression(bare);
		return factory.updateCallExpression(next, called, next.typeArguments, next.arguments);
	}

	/** The import or the earlier cell's declaration that a name means here. */
	#meaning(node: TypeScript.Identifier): TypeScript.Expression | undefined {
		const ts = this.#ts;
		const { checker, imported } = this.#sources;
		const original = ts.getOriginalNode(node) as TypeScript.Identifier;
		const short = original.parent && ts.isShorthandPropertyAssignment(original.parent);
		const found = imported.get(node.text);
		if (!found && !short) return undefined;
		const symbol = short
			? checker.getShorthandAssignmentValueSymbol(original.parent)
			: checker.getSymbolAtLocation(original);
		const declared = symbol?.declarations?.[0];
		if (short && declared && this.#isEarlier(declared)) return this.#nodes.exported(node.text);
		if (!found || !declared || !isImport(ts, declared)) return undefined;
		return ts.setTextRange(this.#nodes.member(found), node);
	}

	/** Whether an earlier cell declared something for later ones, rather than for the globals. */
	#isEarlier(declaration: TypeScript.Declaration): boolean {
		const { declarations } = this.#sources;
		if (declarations === undefined || declaration.getSourceFile() !== declarations) return false;
		return !isInAddition(this.#ts, declaration);
	}

	/** What tslab took for an earlier cell's, though that cell only added to a global. */
	#globalOf(node: TypeScript.Node): TypeScript.Expression | undefined {
		const ts = this.#ts;
		if (!ts.isPropertyAccessExpression(node) || node.pos >= 0 || !ts.isIdentifier(node.name)) return undefined;
		if (!ts.isIdentifier(node.expression) || node.expression.text !== "exports") return undefined;
		const symbol = this.#sources.checker.getSymbolAtLocation(ts.getOriginalNode(node.name));
		const isOfCells = symbol?.declarations?.some((declaration) => this.#isEarlier(declaration));
		return isOfCells === false ? node.name : undefined;
	}
}

function isImport(ts: Ts, node: TypeScript.Node): boolean {
	return ts.isImportSpecifier(node) || ts.isImportClause(node);
}

/** Whether a child only names something: a property, a label, what is declared. */
function isName(ts: Ts, node: TypeScript.Node, child: TypeScript.Node): boolean {
	if (ts.isPropertyAccessExpression(node) || ts.isMetaProperty(node)) return node.name === child;
	if (ts.isBindingElement(node)) return node.propertyName === child || node.name === child;
	if (ts.isLabeledStatement(node) || ts.isBreakOrContinueStatement(node)) return node.label === child;
	if (!ts.isIdentifier(child)) return false;
	return (node as { name?: TypeScript.Node }).name === child && !ts.isShorthandPropertyAssignment(node);
}
