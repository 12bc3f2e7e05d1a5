// Variables that a cell declares with `var` inside a block, a loop or a `try`. They belong to the whole cell and are seen by
// later ones, but a declaration file leaves them out, since only top-level statements are printed there: they are added.

import type TypeScript from "typescript";

type Ts = typeof TypeScript;
/** What the checker and a bound file have and do not publish. */
type OpenChecker = TypeScript.TypeChecker & {
	resolveName(
		name: string,
		location: TypeScript.Node,
		meaning: TypeScript.SymbolFlags,
		excludeGlobals: boolean,
	): TypeScript.Symbol | undefined;
};
type BoundFile = TypeScript.SourceFile & { locals?: Map<string, TypeScript.Symbol> };

/** Makes the transformer of a cell's declarations. A type that has no name outside of its block is `any`. */
export function blockVariables(
	ts: Ts,
	checker: TypeScript.TypeChecker,
	cell: TypeScript.SourceFile,
): TypeScript.TransformerFactory<TypeScript.SourceFile | TypeScript.Bundle> {
	const { factory } = ts;
	const any = () => factory.createKeywordTypeNode(ts.SyntaxKind.AnyKeyword);

	/** Whether everything that a type refers to means something at the cell's top level. */
	const isNamed = (node: TypeScript.Node, own: ReadonlySet<string>): boolean => {
		let name = ts.isTypeReferenceNode(node) ? node.typeName : ts.isTypeQueryNode(node) ? node.exprName : undefined;
		while (name && ts.isQualifiedName(name)) name = name.left;
		if (name && ts.isIdentifier(name) && !own.has(name.text) && !isKnown(name.text)) return false;
		const { typeParameters } = node as TypeScript.FunctionTypeNode;
		const inside = typeParameters ? new Set([...own, ...typeParameters.map((one) => one.name.text)]) : own;
		return !ts.forEachChild(node, (child) => !isNamed(child, inside));
	};
	const isKnown = (name: string) =>
		(checker as OpenChecker).resolveName(name, cell, ts.SymbolFlags.All, false) !== undefined;

	const typeOf = (symbol: TypeScript.Symbol): TypeScript.TypeNode => {
		const flags = ts.NodeBuilderFlags.NoTruncation | ts.NodeBuilderFlags.UseFullyQualifiedType;
		const node = checker.typeToTypeNode(checker.getTypeOfSymbolAtLocation(symbol, cell), cell, flags);
		return node && isNamed(node, new Set()) ? node : any();
	};

	return () => (file) => {
		if (ts.isBundle(file)) return file;
		const declarations = hoisted(ts, cell).map(([name, symbol]) => {
			const declaration = factory.createVariableDeclaration(name, undefined, typeOf(symbol));
			const modifiers = [ts.SyntaxKind.ExportKeyword, ts.SyntaxKind.DeclareKeyword] as const;
			return factory.createVariableStatement(
				modifiers.map((kind) => factory.createModifier(kind)),
				factory.createVariableDeclarationList([declaration], ts.NodeFlags.Let),
			);
		});
		return declarations.length > 0 ? factory.updateSourceFile(file, [...file.statements, ...declarations]) : file;
	};
}

/** The cell's variables of which no declaration is a statement of the cell itself. */
function hoisted(ts: Ts, cell: TypeScript.SourceFile): [string, TypeScript.Symbol][] {
	const isOutermost = (declaration: TypeScript.Declaration): boolean => {
		let node: TypeScript.Node = declaration;
		while (!ts.isVariableDeclarationList(node) && node.parent) node = node.parent;
		return node.parent && ts.isVariableStatement(node.parent) && node.parent.parent === cell;
	};
	return [...((cell as BoundFile).locals ?? [])].filter(
		([, { flags, declarations }]) =>
			flags & ts.SymbolFlags.FunctionScopedVariable && declarations && !declarations.some(isOutermost),
	);
}
