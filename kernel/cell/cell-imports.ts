// The import declarations of a cell as `require` calls. What they import stays a property of the module and is read at
// each use, as the language has it.

import type TypeScript from "typescript";
import type { AwaitNotes } from "./await-guards.js";
import type { CellNodes, ImportedName } from "./cell-nodes.js";

/** What one cell imports. */
export class CellImports {
	/** Local names that stand for a property of an imported module. */
	readonly names = new Map<string, ImportedName>();
	/** Local names that hold a whole module. */
	readonly namespaces: string[] = [];
	readonly #ts: typeof TypeScript;
	readonly #nodes: CellNodes;
	readonly #notes: AwaitNotes;

	constructor(ts: typeof TypeScript, nodes: CellNodes, notes: AwaitNotes) {
		this.#ts = ts;
		this.#nodes = nodes;
		this.#notes = notes;
	}

	/** Gives what runs in place of a declaration, and notes the names that it brings. */
	statements(declaration: TypeScript.ImportDeclaration): TypeScript.Statement[] {
		const ts = this.#ts;
		const { importClause: clause, moduleSpecifier } = declaration;
		if (!clause) return [ts.setTextRange(this.required(moduleSpecifier), declaration)];
		const module = this.#nodes.factory.createUniqueName("module");
		const taken = this.#nodes.constant(module, this.#requireOf(moduleSpecifier));
		const out: TypeScript.Statement[] = [ts.setTextRange(taken, declaration)];
		if (clause.name) this.names.set(clause.name.text, { module, name: "default" });
		const bindings = clause.namedBindings;
		if (bindings && ts.isNamespaceImport(bindings)) {
			this.namespaces.push(bindings.name.text);
			out.push(this.#nodes.constant(bindings.name, this.#nodes.helper("namespaceOf", module)));
		} else if (bindings) {
			for (const { name, propertyName } of bindings.elements) {
				this.names.set(name.text, { module, name: (propertyName ?? name).text });
			}
		}
		return out;
	}

	/** A statement that loads a module and takes nothing of it. */
	required(specifier: TypeScript.Expression): TypeScript.Statement {
		return this.#nodes.factory.createExpressionStatement(this.#requireOf(specifier));
	}

	#requireOf(specifier: TypeScript.Expression): TypeScript.Expression {
		this.#notes.imports.push((specifier as TypeScript.StringLiteral).text);
		const { factory } = this.#nodes;
		return factory.createCallExpression(factory.createIdentifier("require"), undefined, [specifier]);
	}
}
