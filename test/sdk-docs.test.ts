// What an editor shows over a name: every export of the package, and every field and method of one, has a comment.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const root = fileURLToPath(new URL("../../", import.meta.url));
const entry = `${root}dist/sdk/index.d.ts`;
const program = ts.createProgram([entry], {
	...{ module: ts.ModuleKind.Node16, moduleResolution: ts.ModuleResolutionKind.Node16, target: ts.ScriptTarget.ES2022 },
	...{ lib: ["lib.es2022.d.ts", "lib.esnext.disposable.d.ts"], types: ["node"], skipLibCheck: true },
});
const checker = program.getTypeChecker();

const hasComment = (symbol: ts.Symbol): boolean =>
	symbol.getDocumentationComment(checker).length > 0 || symbol.getJsDocTags(checker).length > 0;

function isShown(member: ts.Symbol): boolean {
	const declaration = member.declarations?.[0];
	if (!declaration || member.name.startsWith("__") || ts.isTypeParameterDeclaration(declaration)) return false;
	const name = ts.getNameOfDeclaration(declaration);
	const isPrivate = (ts.getCombinedModifierFlags(declaration) & ts.ModifierFlags.Private) !== 0;
	return !isPrivate && !(name && ts.isPrivateIdentifier(name));
}

test("every export, its fields and its methods have a comment", () => {
	const seen = new Set<ts.Symbol>();
	const bare: string[] = [];
	const visit = (given: ts.Symbol, path: string): void => {
		const symbol = given.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(given) : given;
		const isOurs = symbol.declarations?.some((each) => each.getSourceFile().fileName.startsWith(`${root}dist/`));
		if (!isOurs || seen.has(symbol)) return;
		seen.add(symbol);
		if (symbol.flags & (ts.SymbolFlags.ValueModule | ts.SymbolFlags.NamespaceModule)) {
			for (const each of checker.getExportsOfModule(symbol)) visit(each, `${path}.${each.name}`);
			return;
		}
		if (!hasComment(symbol)) bare.push(path);
		for (const member of symbol.members?.values() ?? []) {
			if (isShown(member) && !hasComment(member)) bare.push(`${path}.${member.name}`);
		}
	};
	for (const each of checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(entry)!)!)) {
		visit(each, each.name);
	}
	assert.ok(seen.size > 200, `${seen.size} exports`);
	assert.deepEqual(bare, []);
});
