// Turns the ES module that tslab makes of a cell into the body of a function, while it is printed: one pass where
// TypeScript's own way takes a second program. The cell's variables stay variables of that function; later cells reach
// them through accessors, so that an assignment there is seen by the functions of the cell that declared them.

import type TypeScript from "typescript";
import { type AwaitNotes, awaitGuard } from "./await-guards.js";
import { isInAddition } from "./kept-namespaces.js";

type Ts = typeof TypeScript;

/** What a transformation of one cell needs to know. */
export interface CellModuleContext {
	checker: TypeScript.TypeChecker;
	/** Declarations of earlier cells. */
	declarations: TypeScript.SourceFile | undefined;
	notes: AwaitNotes;
	/** Number under which the last expression's value is kept. */
	id: number;
}

/** Local names that stand for a property of an imported module. */
type Imported = Map<string, { module: TypeScript.Identifier; name: string }>;

/** Makes the last transformer of a cell. */
export function cellModule(ts: Ts, context: CellModuleContext): TypeScript.TransformerFactory<TypeScript.SourceFile> {
	const { factory } = ts;
	const { checker, declarations, notes, id } = context;
	const helper = (name: string, ...values: TypeScript.Expression[]) =>
		factory.createCallExpression(
			factory.createPropertyAccessExpression(factory.createIdentifier("__octavo__"), name),
			undefined,
			values,
		);
	const constant = (name: TypeScript.Identifier, value: TypeScript.Expression) =>
		factory.createVariableStatement(
			undefined,
			factory.createVariableDeclarationList(
				[factory.createVariableDeclaration(name, undefined, undefined, value)],
				ts.NodeFlags.Const,
			),
		);
	const exported = (name: string) => factory.createPropertyAccessExpression(factory.createIdentifier("exports"), name);
	const member = (of: TypeScript.Expression, name: string): TypeScript.Expression =>
		name === "default" ? helper("defaultOf", of) : factory.createPropertyAccessExpression(of, name);

	return (transformation) => (file) => {
		const imported: Imported = new Map();
		const guard = awaitGuard(ts, transformation, notes);

		/** The import or the earlier cell's declaration that a name means here. */
		const meaning = (node: TypeScript.Identifier): TypeScript.Expression | undefined => {
			const original = ts.getOriginalNode(node) as TypeScript.Identifier;
			const short = original.parent && ts.isShorthandPropertyAssignment(original.parent);
			const found = imported.get(node.text);
			if (!found && !short) return undefined;
			const symbol = short
				? checker.getShorthandAssignmentValueSymbol(original.parent)
				: checker.getSymbolAtLocation(original);
			const declared = symbol?.declarations?.[0];
			if (short && declared && isEarlier(declared)) return exported(node.text);
			if (!found || !declared || !isImport(ts, declared)) return undefined;
			return ts.setTextRange(member(found.module, found.name), node);
		};

		/** Whether an earlier cell declared something for later ones, rather than for the globals. */
		const isEarlier = (declaration: TypeScript.Declaration) =>
			declarations !== undefined && declaration.getSourceFile() === declarations && !isInAddition(ts, declaration);

		/** What tslab took for an earlier cell's, though that cell only added to a global. */
		const globalOf = (node: TypeScript.Node): TypeScript.Expression | undefined => {
			if (!ts.isPropertyAccessExpression(node) || node.pos >= 0 || !ts.isIdentifier(node.name)) return undefined;
			if (!ts.isIdentifier(node.expression) || node.expression.text !== "exports") return undefined;
			const symbol = checker.getSymbolAtLocation(ts.getOriginalNode(node.name));
			return symbol?.declarations?.some(isEarlier) === false ? node.name : undefined;
		};

		const visit = (node: TypeScript.Node, top: boolean): TypeScript.Node => {
			const global = globalOf(node);
			if (global) return global;
			if (ts.isIdentifier(node)) return meaning(node) ?? node;
			if (ts.isShorthandPropertyAssignment(node)) {
				const value = meaning(node.name);
				if (value) return factory.createPropertyAssignment(node.name.text, value);
				return node;
			}
			const inner = top && !ts.isFunctionLike(node) && !ts.isClassStaticBlockDeclaration(node);
			const next = ts.visitEachChild(
				node,
				(child) => (isName(ts, node, child) ? child : visit(child, inner)),
				transformation,
			);
			if (ts.isCallExpression(next) && ts.isCallExpression(node) && next.expression !== node.expression) {
				// Called as a function, not as the module's method.
				if (ts.isIdentifier(node.expression) && ts.isPropertyAccessExpression(next.expression)) {
					const bare = factory.createComma(factory.createNumericLiteral(0), next.expression);
					const called = factory.createParenthesizedExpression(bare);
					return guard(factory.updateCallExpression(next, called, next.typeArguments, next.arguments), inner);
				}
			}
			return guard(next, inner);
		};

		const names: string[] = [];
		const constants = new Set<string>();
		const statements: TypeScript.Statement[] = [];
		for (const statement of file.statements) {
			if (ts.isImportDeclaration(statement)) statements.push(...importStatements(statement, imported, constants));
		}
		for (const statement of file.statements) {
			if (ts.isImportDeclaration(statement)) continue;
			if (ts.isExportDeclaration(statement)) {
				if (statement.moduleSpecifier) statements.push(required(statement.moduleSpecifier));
				else if (statement.exportClause && ts.isNamedExports(statement.exportClause)) {
					names.push(...statement.exportClause.elements.map((element) => (element.propertyName ?? element.name).text));
				}
				continue;
			}
			if (ts.isVariableStatement(statement)) {
				const [declaration] = statement.declarationList.declarations;
				if (statement.modifiers?.length && declaration?.initializer) {
					// The last expression, to which tslab has given a name.
					const value = visit(declaration.initializer, true) as TypeScript.Expression;
					const kept = helper("keep", factory.createNumericLiteral(id), value);
					statements.push(ts.setTextRange(factory.createExpressionStatement(kept), declaration.initializer));
					continue;
				}
				if (statement.declarationList.flags & ts.NodeFlags.Const) {
					for (const { name } of statement.declarationList.declarations) namesOf(ts, name, constants);
				}
			}
			if (ts.isExportAssignment(statement)) {
				const value = visit(statement.expression, true) as TypeScript.Expression;
				statements.push(factory.createExpressionStatement(factory.createAssignment(exported("default"), value)));
				continue;
			}
			statements.push(visit(statement, true) as TypeScript.Statement);
		}
		if (names.length > 0) {
			const accessors = names.flatMap((name) => accessorsOf(name, imported.get(name), constants.has(name)));
			const declare = helper("declare", factory.createObjectLiteralExpression(accessors, false));
			statements.unshift(factory.createExpressionStatement(declare));
		}
		return factory.updateSourceFile(file, statements);
	};

	function accessorsOf(
		name: string,
		from: { module: TypeScript.Identifier; name: string } | undefined,
		fixed: boolean,
	) {
		const value = from ? member(from.module, from.name) : factory.createIdentifier(name);
		const body = (statement: TypeScript.Statement) => factory.createBlock([statement], false);
		const get = factory.createGetAccessorDeclaration(
			undefined,
			name,
			[],
			undefined,
			body(factory.createReturnStatement(value)),
		);
		if (fixed || from) return [get];
		const taken = factory.createUniqueName("value");
		const assign = factory.createExpressionStatement(factory.createAssignment(factory.createIdentifier(name), taken));
		const parameter = factory.createParameterDeclaration(undefined, undefined, taken);
		return [get, factory.createSetAccessorDeclaration(undefined, name, [parameter], body(assign))];
	}

	function required(specifier: TypeScript.Expression): TypeScript.Statement {
		return factory.createExpressionStatement(requireOf(specifier));
	}

	function requireOf(specifier: TypeScript.Expression): TypeScript.Expression {
		notes.imports.push((specifier as TypeScript.StringLiteral).text);
		return factory.createCallExpression(factory.createIdentifier("require"), undefined, [specifier]);
	}

	function importStatements(
		statement: TypeScript.ImportDeclaration,
		imported: Imported,
		constants: Set<string>,
	): TypeScript.Statement[] {
		const { importClause: clause, moduleSpecifier } = statement;
		if (!clause) return [ts.setTextRange(required(moduleSpecifier), statement)];
		const module = factory.createUniqueName("module");
		const out: TypeScript.Statement[] = [ts.setTextRange(constant(module, requireOf(moduleSpecifier)), statement)];
		if (clause.name) imported.set(clause.name.text, { module, name: "default" });
		const bindings = clause.namedBindings;
		if (bindings && ts.isNamespaceImport(bindings)) {
			constants.add(bindings.name.text);
			out.push(constant(bindings.name, helper("namespaceOf", module)));
		} else if (bindings) {
			for (const { name, propertyName } of bindings.elements) {
				imported.set(name.text, { module, name: (propertyName ?? name).text });
			}
		}
		return out;
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

/** Adds the names that a pattern declares. */
function namesOf(ts: Ts, name: TypeScript.BindingName, into: Set<string>): void {
	if (ts.isIdentifier(name)) into.add(name.text);
	else for (const element of name.elements) if (ts.isBindingElement(element)) namesOf(ts, element.name, into);
}
