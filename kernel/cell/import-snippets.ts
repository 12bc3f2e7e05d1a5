// Completion of a name that nothing declares but a package exports: the statement with its import before it. A front end
// replaces one range with one text, so both come as one; only where the statement begins a line at the top level.

import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type TypeScript from "typescript";
import type { CompleteResult } from "./protocol.js";

type Ts = typeof TypeScript;

/** Fewest letters of a name for which exports are looked through. */
const minPrefix = 3;
/** Most snippets that are offered. */
const maxSnippets = 20;
/** Modules of Node.js whose exports are offered. */
const builtins = ["fs", "fs/promises", "path", "os", "util", "url", "crypto", "child_process", "perf_hooks", "zlib"];

/** How declarations of packages are found and read. */
export interface DeclarationFiles {
	/** The file with a module's declarations. */
	resolve(specifier: string, from: string): string | undefined;
	read(path: string): string | undefined;
}

/** Finds what could be imported. */
export class ImportSnippets {
	readonly #ts: Ts;
	readonly #folder: string;
	readonly #files: DeclarationFiles;
	readonly #names = new Map<string, ReadonlySet<string>>();

	/** @param folder the notebook's folder */
	constructor(ts: Ts, folder: string, files: DeclarationFiles) {
		this.#ts = ts;
		this.#folder = folder;
		this.#files = files;
	}

	/** Completions at a position in UTF-16 units; undefined where none can stand. */
	complete(code: string, position: number): CompleteResult | undefined {
		const prefix = /(?<![\w$.])[\p{ID_Start}$_][\w$]*$/u.exec(code.slice(0, position))?.[0] ?? "";
		if (prefix.length < minPrefix) return undefined;
		const start = this.#statementStart(code, position - prefix.length);
		if (start === undefined) return undefined;
		const before = code.slice(start, position - prefix.length);
		const matches: CompleteResult["matches"] = [];
		for (const [specifier, names] of this.#modules()) {
			for (const name of names) {
				if (!name.startsWith(prefix)) continue;
				matches.push({ text: `import { ${name} } from "${specifier}";\n${before}${name}`, type: "import" });
			}
		}
		matches.sort((one, other) => one.text.length - other.text.length);
		return matches.length === 0 ? undefined : { start, end: position, matches: matches.slice(0, maxSnippets) };
	}

	/** Where the top-level statement around a name begins, if that is on the name's own line. */
	#statementStart(code: string, at: number): number | undefined {
		const file = this.#ts.createSourceFile("cell.ts", code, this.#ts.ScriptTarget.ESNext, true);
		const statement = file.statements.find((one) => one.getStart(file) <= at && at < one.end);
		if (!statement || this.#ts.isImportDeclaration(statement)) return undefined;
		const start = statement.getStart(file);
		const lineStart = code.lastIndexOf("\n", at) + 1;
		if (start < lineStart || code.slice(lineStart, start).trim() !== "") return undefined;
		const inner = this.#ts as unknown as { getTokenAtPosition(file: object, at: number): TypeScript.Node };
		const token = inner.getTokenAtPosition(file, at);
		// Neither text nor a comment; a name that a declaration gives is no use of one.
		const { name } = token.parent as { name?: TypeScript.Node };
		return this.#ts.isIdentifier(token) && name !== token ? start : undefined;
	}

	/** The exports of each module that a cell can be expected to want. */
	*#modules(): Generator<[specifier: string, names: Iterable<string>]> {
		const from = join(this.#folder, "cell.ts");
		for (const specifier of ["octavo", ...this.#dependencies()]) {
			const path = this.#files.resolve(specifier, from);
			if (path) yield [specifier, this.#exports(path)];
		}
		const require = createRequire(from);
		for (const name of builtins) yield [`node:${name}`, Object.keys(require(`node:${name}`))];
	}

	/** What the nearest package.json names. */
	#dependencies(): string[] {
		for (let folder = this.#folder; ; folder = dirname(folder)) {
			const path = join(folder, "package.json");
			if (existsSync(path)) {
				try {
					const { dependencies, devDependencies } = JSON.parse(readFileSync(path, "utf8"));
					const names = Object.keys({ ...dependencies, ...devDependencies });
					return names.filter((name) => name !== "octavo" && !name.startsWith("@types/"));
				} catch {
					return [];
				}
			}
			if (dirname(folder) === folder) return [];
		}
	}

	#exports(path: string): ReadonlySet<string> {
		const known = this.#names.get(path);
		if (known) return known;
		const names = new Set<string>();
		// Before the files are read: two may export each other.
		this.#names.set(path, names);
		const text = this.#files.read(path);
		if (text === undefined) return names;
		const { statements } = this.#ts.createSourceFile(path, text, this.#ts.ScriptTarget.ESNext);
		for (const statement of statements) this.#collect(statement, path, names);
		return names;
	}

	#collect(statement: TypeScript.Statement, path: string, names: Set<string>): void {
		const ts = this.#ts;
		if (ts.isExportDeclaration(statement)) {
			const { exportClause: clause, moduleSpecifier: module } = statement;
			if (clause && ts.isNamedExports(clause)) for (const { name } of clause.elements) names.add(name.text);
			else if (clause) names.add(clause.name.text);
			else if (module && ts.isStringLiteral(module)) {
				const next = this.#files.resolve(module.text, path);
				for (const name of next ? this.#exports(next) : []) names.add(name);
			}
			names.delete("default");
			return;
		}
		const modifiers = ts.canHaveModifiers(statement) ? (ts.getModifiers(statement) ?? []) : [];
		const has = (kind: TypeScript.SyntaxKind) => modifiers.some((modifier) => modifier.kind === kind);
		if (!has(ts.SyntaxKind.ExportKeyword) || has(ts.SyntaxKind.DefaultKeyword)) return;
		if (ts.isVariableStatement(statement)) {
			for (const { name } of statement.declarationList.declarations) if (ts.isIdentifier(name)) names.add(name.text);
			return;
		}
		const { name } = statement as TypeScript.DeclarationStatement;
		if (name && ts.isIdentifier(name)) names.add(name.text);
	}
}
