// Tunes the TypeScript that tslab drives, by handing tslab a copy of its exports: module resolution as bundlers do it,
// octavo's packages in view of every folder, top-level await, source maps, and a program a cell instead of two with a
// full dependency graph each (4 ms a cell instead of 12).

import { createRequire, isBuiltin } from "node:module";
import { join } from "node:path";
import type TypeScript from "typescript";
import { type AwaitNotes, guardAwaits } from "./await-guards.js";
import { PackageView, packageRoot } from "./packages.js";

type Ts = typeof TypeScript;
type Loose = Record<string, unknown>;
/** A program as tslab uses it; `getAllDependencies` lists the sources that a cell imports. */
type Builder = TypeScript.BuilderProgram & { getAllDependencies(file: TypeScript.SourceFile): readonly string[] };

/** What one conversion leaves behind, besides tslab's own result. */
export interface Compilation extends AwaitNotes {
	/** Source map from the cell (one line below tslab's prefix) to the ES module. */
	sourceToModule?: string;
	/** Source map from the ES module to the CommonJS text that runs. */
	moduleToOutput?: string;
}

/** The tuned compiler. */
export interface Compiler {
	/** Gives what the conversion since the last call left behind. */
	take(): Compilation;
	/** Syntax errors of a cell: their TypeScript codes, and whether they are at its very end. */
	syntaxErrors(code: string): { code: number; atEnd: boolean }[];
	/** Announces a conversion, whose first program tslab makes only to list the names that the cell declares. */
	expectConversion(): void;
}

/** File of global declarations that every cell sees. */
const globalsFile = join(packageRoot, "dist", "kernel", "cell", "globals.d.ts");

/**
 * Puts a tuned copy of TypeScript where tslab will load it from.
 *
 * @param typescriptPath resolved file of tslab's TypeScript
 * @param folder the notebook's folder
 */
export function tuneCompiler(typescriptPath: string, folder: string): Compiler {
	const require = createRequire(import.meta.url);
	const ts = require(typescriptPath) as Ts;
	const copy: Loose = {};
	for (const name of Object.keys(ts)) copy[name] = (ts as unknown as Loose)[name];
	require.cache[typescriptPath]!.exports = copy;
	const view = new PackageView(folder);
	const sourceFile = join(folder, "__tslab__.ts");
	let current: Compilation = { awaits: false, imports: [] };
	let namesOnly = false;

	copy.createWatchCompilerHost = (roots: string[], options: Loose, sys: TypeScript.System) => {
		const typesRoot = createRequire(createRequire(join(packageRoot, "package.json")).resolve("tslab"))
			.resolve("@types/node/package.json")
			.replace(/[\\/]node[\\/]package\.json$/, "");
		const tuned = {
			...options,
			moduleResolution: ts.ModuleResolutionKind.Bundler,
			disableTopLevelAwait: false,
			sourceMap: true,
			lib: ["lib.es2023.d.ts"],
			types: ["node"],
			typeRoots: [typesRoot],
		};
		const host = ts.createWatchCompilerHost(
			[...roots, globalsFile],
			tuned as TypeScript.CompilerOptions,
			overlay(sys, view),
			createProgram as unknown as TypeScript.CreateProgram<Builder>,
			() => {},
			() => {},
		);
		const resolve = resolver(ts, host as unknown as TypeScript.ModuleResolutionHost, view, folder);
		return Object.assign(host, { resolveModuleNameLiterals: resolve, hasInvalidatedResolutions: () => false });
	};

	function createProgram(
		roots: readonly string[],
		options: TypeScript.CompilerOptions,
		host: TypeScript.CompilerHost,
		old: Builder | undefined,
	): Builder {
		if (namesOnly && old) {
			namesOnly = false;
			const file = host.getSourceFile(sourceFile, ts.ScriptTarget.ES2022);
			(ts as unknown as { bindSourceFile(file: unknown, options: unknown): void }).bindSourceFile(file, options);
			const locals = (file as unknown as { locals?: Map<string, unknown> } | undefined)?.locals;
			// Nothing declared: tslab goes on with this very program, so it has to be a real one.
			if (locals?.size)
				return { ...old, getSourceFile: (name) => (name === sourceFile ? file : old.getSourceFile(name)) };
		}
		// tslab names its own roots anew when a cell defines a module.
		const names = roots.includes(globalsFile) ? roots : [...roots, globalsFile];
		const builder = ts.createAbstractBuilder(names, options, host, old) as Builder;
		const emit = builder.emit;
		builder.emit = (file, writeFile, ...rest) =>
			emit(
				file,
				(name, text, ...others) => {
					if (name.endsWith("__tslab__.js.map")) current.sourceToModule = text;
					writeFile?.(name, text, ...others);
				},
				...rest,
			);
		const getSourceFile = builder.getSourceFile;
		builder.getSourceFile = (name) => {
			// Completion walks from a token to its parents, which only a checker's binding sets.
			builder.getProgram().getTypeChecker();
			return getSourceFile(name);
		};
		builder.getAllDependencies = (file) => sourceDependencies(builder.getProgram(), file);
		return builder;
	}

	copy.transpileModule = (text: string, options: TypeScript.TranspileOptions) => {
		const result = ts.transpileModule(text.replace(/\n\/\/# sourceMappingURL=.*$/, ""), {
			...options,
			compilerOptions: { ...options.compilerOptions, sourceMap: true },
			transformers: { before: [guardAwaits(ts, current)] },
		});
		if (result.sourceMapText) current.moduleToOutput = result.sourceMapText;
		return { ...result, outputText: result.outputText.replace(/\n\/\/# sourceMappingURL=.*$/, "") };
	};

	return {
		take() {
			const taken = current;
			current = { awaits: false, imports: [] };
			return taken;
		},
		syntaxErrors(code) {
			const prefix = "export {};\n";
			const parsed = ts.createSourceFile("cell.ts", prefix + code, ts.ScriptTarget.ES2022);
			const { parseDiagnostics } = parsed as unknown as { parseDiagnostics: TypeScript.DiagnosticWithLocation[] };
			const end = prefix.length + code.trimEnd().length;
			return parseDiagnostics.map((error) => ({ code: error.code, atEnd: error.start + error.length >= end }));
		},
		expectConversion() {
			view.refresh();
			namesOnly = true;
		},
	};
}

/** Gives a file system in which the packages of {@link PackageView} exist, and in which only the user's files are watched. */
function overlay(sys: TypeScript.System, view: PackageView): TypeScript.System {
	const seen = Object.create(sys) as TypeScript.System;
	const octavoManifest = join(packageRoot, "package.json");
	seen.readFile = (path, encoding) => {
		const real = view.real(path);
		const text = sys.readFile(real, encoding);
		if (real !== octavoManifest || real === path || text === undefined) return text;
		// Without its exports map, every module's type can be named in the declarations that a cell leaves.
		const { exports: _, ...manifest } = JSON.parse(text);
		return JSON.stringify(manifest);
	};
	seen.fileExists = (path) => sys.fileExists(view.real(path));
	seen.directoryExists = (path) => sys.directoryExists(view.real(path));
	seen.getDirectories = (path) => sys.getDirectories(view.real(path));
	seen.realpath = (path) => (view.real(path) === path ? (sys.realpath?.(path) ?? path) : path);
	const unwatched = { close() {} };
	seen.watchFile = (path, ...rest) =>
		/[\\/]node_modules[\\/]|\.d\.[cm]?ts$/.test(path) && !path.endsWith("__prev__.d.ts")
			? unwatched
			: sys.watchFile!(path, ...rest);
	seen.watchDirectory = () => unwatched;
	return seen;
}

/** Resolves imports; results are kept for files of packages, never for the cell, where a package may appear any time. */
function resolver(ts: Ts, host: TypeScript.ModuleResolutionHost, view: PackageView, folder: string) {
	const kept = new Map<string, TypeScript.ResolvedModuleWithFailedLookupLocations>();
	return (
		literals: readonly TypeScript.StringLiteralLike[],
		from: string,
		redirect: TypeScript.ResolvedProjectReference | undefined,
		options: TypeScript.CompilerOptions,
	) =>
		literals.map((literal) => {
			// Declared by @types/node itself; looking for files of these names costs 100 ms at the start.
			if (isBuiltin(literal.text)) return { resolvedModule: undefined, failedLookupLocations: [] };
			const fixed = view.real(from) !== from || from.includes("/node_modules/");
			const key = `${from.slice(0, from.lastIndexOf("/"))}\0${literal.text}`;
			let found = fixed ? kept.get(key) : undefined;
			if (!found) {
				found = ts.resolveModuleName(literal.text, from, options, host, undefined, redirect);
				// A file of octavo's packages asks for a package that only their real folder can see.
				if (!found.resolvedModule && fixed) {
					found = ts.resolveModuleName(literal.text, join(folder, "__octavo__.ts"), options, host, undefined, redirect);
				}
				if (fixed) kept.set(key, found);
			}
			return found;
		});
}

/** Lists a source and the sources that it imports, however deep; declarations are no sources. */
function sourceDependencies(program: TypeScript.Program, file: TypeScript.SourceFile): string[] {
	const found = new Set<string>();
	const visit = (source: TypeScript.SourceFile | undefined) => {
		if (!source || source.isDeclarationFile || found.has(source.fileName)) return;
		found.add(source.fileName);
		const resolved = (
			source as unknown as { resolvedModules?: Map<string, TypeScript.ResolvedModuleWithFailedLookupLocations> }
		).resolvedModules;
		resolved?.forEach((resolution) => {
			const name = resolution?.resolvedModule?.resolvedFileName;
			if (name) visit(program.getSourceFile(name));
		});
	};
	visit(file);
	return [...found];
}
