// Pieces of the function that a cell becomes: calls of the worker's helpers, constants, and the accessors by which later
// cells reach its variables.

import type TypeScript from "typescript";

type Ts = typeof TypeScript;

/** A property of an imported module, for which a local name stands. */
export interface ImportedName {
	/** Variable that holds the module. */
	module: TypeScript.Identifier;
	/** The property; `default` as in an import. */
	name: string;
}

/** Makes nodes. */
export class CellNodes {
	readonly factory: TypeScript.NodeFactory;
	readonly #ts: Ts;

	constructor(ts: Ts) {
		this.#ts = ts;
		this.factory = ts.factory;
	}

	/** A call of one of the worker's helpers. */
	helper(name: string, ...values: TypeScript.Expression[]): TypeScript.CallExpression {
		const { factory } = this;
		const called = factory.createPropertyAccessExpression(factory.createIdentifier("__octavo__"), name);
		return factory.createCallExpression(called, undefined, values);
	}

	/** A statement that declares a constant. */
	constant(name: TypeScript.Identifier, value: TypeScript.Expression): TypeScript.Statement {
		const { factory } = this;
		const declared = [factory.createVariableDeclaration(name, undefined, undefined, value)];
		const list = factory.createVariableDeclarationList(declared, this.#ts.NodeFlags.Const);
		return factory.createVariableStatement(undefined, list);
	}

	/** A variable as the cells after it see it. */
	exported(name: string): TypeScript.Expression {
		return this.factory.createPropertyAccessExpression(this.factory.createIdentifier("exports"), name);
	}

	/** What an import of a name from a module gives. */
	member({ module, name }: ImportedName): TypeScript.Expression {
		if (name === "default") return this.helper("defaultOf", module);
		return this.factory.createPropertyAccessExpression(module, name);
	}

	/** The accessors of one variable. @param isFixed whether assigning to it is an error */
	accessors(name: string, imported: ImportedName | undefined, isFixed: boolean): TypeScript.ObjectLiteralElementLike[] {
		const { factory } = this;
		const value = imported ? this.member(imported) : factory.createIdentifier(name);
		const body = (statement: TypeScript.Statement) => factory.createBlock([statement], false);
		const returned = body(factory.createReturnStatement(value));
		const get = factory.createGetAccessorDeclaration(undefined, name, [], undefined, returned);
		if (isFixed || imported) return [get];
		const taken = factory.createUniqueName("value");
		const assign = factory.createExpressionStatement(factory.createAssignment(factory.createIdentifier(name), taken));
		const parameter = factory.createParameterDeclaration(undefined, undefined, taken);
		return [get, factory.createSetAccessorDeclaration(undefined, name, [parameter], body(assign))];
	}
}
