// Turns the ES module that tslab makes of a cell into the body of a function, while it is printed: one pass where
// TypeScript's own way takes a second program. The cell's variables stay variables of that function; later cells reach
// them through accessors, so that an assignment there is seen by the functions of the cell that declared them.

import type TypeScript from "typescript";
import { type AwaitNotes, awaitGuard } from "./await-guards.js";
import { CellImports } from "./cell-imports.js";
import { CellNodes } from "./cell-nodes.js";
import { CellUses } from "./cell-uses.js";

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

/** Makes the last transformer of a cell. */
export function cellModule(ts: Ts, context: CellModuleContext): TypeScript.TransformerFactory<TypeScript.SourceFile> {
	const nodes = new CellNodes(ts);
	return (transformation) => (file) => {
		const imports = new CellImports(ts, nodes, context.notes);
		const guard = awaitGuard(ts, transformation, context.notes);
		const uses = new CellUses(ts, nodes, transformation, guard, { ...context, imported: imports.names });
		return new CellBody(ts, nodes, imports, uses, context.id).of(file);
	};
}

/** The statements of one cell. */
class CellBody {
	readonly #ts: Ts;
	readonly #nodes: CellNodes;
	readonly #imports: CellImports;
	readonly #uses: CellUses;
	readonly #id: number;
	/** What later cells see. */
	readonly #exported: string[] = [];
	readonly #constants = new Set<string>();

	constructor(ts: Ts, nodes: CellNodes, imports: CellImports, uses: CellUses, id: number) {
		this.#ts = ts;
		this.#nodes = nodes;
		this.#imports = imports;
		this.#uses = uses;
		this.#id = id;
	}

	/** Rewrites the file of a cell. Imports come first, wherever they are written. */
	of(file: TypeScript.SourceFile): TypeScript.SourceFile {
		const ts = this.#ts;
		const { factory } = this.#nodes;
		const statements: TypeScript.Statement[] = [];
		for (const statement of file.statements) {
			if (ts.isImportDeclaration(statement)) statements.push(...this.#imports.statements(statement));
		}
		for (const name of this.#imports.namespaces) this.#constants.add(name);
		for (const statement of file.statements) {
			if (!ts.isImportDeclaration(statement)) statements.push(...this.#rewritten(statement));
		}
		if (this.#exported.length > 0) statements.unshift(this.#declare());
		return factory.updateSourceFile(file, statements);
	}

	#rewritten(statement: TypeScript.Statement): TypeScript.Statement[] {
		const ts = this.#ts;
		if (ts.isExportDeclaration(statement)) return this.#ofExport(statement);
		if (ts.isExportAssignment(statement)) {
			const value = this.#uses.visit(statement.expression, true) as TypeScript.Expression;
			const { factory } = this.#nodes;
			const assignment = factory.createAssignment(this.#nodes.exported("default"), value);
			return [factory.createExpressionStatement(assignment)];
		}
		if (ts.isVariableStatement(statement)) {
			const [declaration] = statement.declarationList.declarations;
			// The last expression, to which tslab has given a name.
			if (statement.modifiers?.length && declaration?.initializer) return [this.#kept(declaration.initializer)];
			if (statement.declarationList.flags & ts.NodeFlags.Const) {
				for (const { name } of statement.declarationList.declarations) namesOf(ts, name, this.#constants);
			}
		}
		return [this.#uses.visit(statement, true) as TypeScript.Statement];
	}

	#ofExport({ moduleSpecifier, exportClause }: TypeScript.ExportDeclaration): TypeScript.Statement[] {
		if (moduleSpecifier) return [this.#imports.required(moduleSpecifier)];
		if (exportClause && this.#ts.isNamedExports(exportClause)) {
			this.#exported.push(...exportClause.elements.map((element) => (element.propertyName ?? element.name).text));
		}
		return [];
	}

	/** Keeps a value to be shown. */
	#kept(expression: TypeScript.Expression): TypeScript.Statement {
		const { factory } = this.#nodes;
		const value = this.#uses.visit(expression, true) as TypeScript.Expression;
		const kept = this.#nodes.helper("keep", factory.createNumericLiteral(this.#id), value);
		return this.#ts.setTextRange(factory.createExpressionStatement(kept), expression);
	}

	/** Makes the cell's variables known. */
	#declare(): TypeScript.Statement {
		const { factory } = this.#nodes;
		const accessors = this.#exported.flatMap((name) =>
			this.#nodes.accessors(name, this.#imports.names.get(name), this.#constants.has(name)),
		);
		const declared = factory.createObjectLiteralExpression(accessors, false);
		return factory.createExpressionStatement(this.#nodes.helper("declare", declared));
	}
}

/** Adds the names that a pattern declares. */
function namesOf(ts: Ts, name: TypeScript.BindingName, into: Set<string>): void {
	if (ts.isIdentifier(name)) into.add(name.text);
	else for (const element of name.elements) if (ts.isBindingElement(element)) namesOf(ts, element.name, into);
}
