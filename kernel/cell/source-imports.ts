// What a source file imports: by its text, and by what the program has found.

import type TypeScript from "typescript";

/** What a cell imports, in any way; undefined when it adds to the globals or refers to files. */
export function importsOf(
	ts: typeof TypeScript,
	file: TypeScript.SourceFile,
): TypeScript.StringLiteralLike[] | undefined {
	if (file.referencedFiles.length + file.typeReferenceDirectives.length + file.libReferenceDirectives.length > 0) {
		return undefined;
	}
	const found: TypeScript.StringLiteralLike[] = [];
	let global = false;
	const visit = (node: TypeScript.Node): void => {
		if (ts.isModuleDeclaration(node)) {
			if (ts.isStringLiteral(node.name) || node.flags & ts.NodeFlags.GlobalAugmentation) global = true;
		}
		let from: TypeScript.Node | undefined;
		if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) from = node.moduleSpecifier;
		else if (ts.isExternalModuleReference(node)) from = node.expression;
		else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) from = node.argument.literal;
		else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
			from = node.arguments[0];
		}
		if (from && ts.isStringLiteralLike(from)) found.push(from);
		ts.forEachChild(node, visit);
	};
	visit(file);
	return global ? undefined : found;
}

/** Where the program has found what an import names. */
export function resolutionOf(
	program: TypeScript.Program,
	specifier: TypeScript.StringLiteralLike,
	file: TypeScript.SourceFile,
): { resolvedModule: TypeScript.ResolvedModule | undefined } | undefined {
	type Resolve = (
		specifier: TypeScript.StringLiteralLike,
		file: TypeScript.SourceFile,
	) => ReturnType<typeof resolutionOf>;
	return (program as unknown as { getResolvedModuleFromModuleSpecifier: Resolve }).getResolvedModuleFromModuleSpecifier(
		specifier,
		file,
	);
}

/** Lists a source and the sources that it imports, however deep; declarations are no sources. */
export function sourceDependencies(program: TypeScript.Program, file: TypeScript.SourceFile): string[] {
	const found = new Set<string>();
	const visit = (source: TypeScript.SourceFile | undefined) => {
		if (!source || source.isDeclarationFile || found.has(source.fileName)) return;
		found.add(source.fileName);
		for (const specifier of (source as unknown as { imports: TypeScript.StringLiteralLike[] }).imports) {
			const name = resolutionOf(program, specifier, source)?.resolvedModule?.resolvedFileName;
			if (name) visit(program.getSourceFile(name));
		}
	};
	visit(file);
	return [...found];
}
