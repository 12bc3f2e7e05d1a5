// Tunes the TypeScript that tslab drives, by handing tslab a copy of its exports: module resolution as bundlers do it,
// octavo's packages in view of every folder, top-level await, source maps, and one program kept from cell to cell
// instead of several a cell (2 ms a cell instead of 12).

import { dirname, join } from "node:path";
import type TypeScript from "typescript";
import type { AwaitNotes } from "./await-guards.js";
import { blockVariables } from "./block-variables.js";
import { cellModule } from "./cell-module.js";
import { type Builder, CellProgram } from "./cell-program.js";
import { topLevelUsing, withoutExports } from "./cell-syntax.js";
import { loadTypeScript } from "./compiler-copy.js";
import { compilerHost, overlay, resolver } from "./compiler-host.js";
import { attempt } from "./compiler-limits.js";
import { describeDiagnostic, isError, parseErrors } from "./diagnostics.js";
import type { Diagnostic } from "./errors.js";
import { ImportSnippets } from "./import-snippets.js";
import { isComplete, type Verdict } from "./is-complete.js";
import { dropUnexportable, keptNamespaces, withoutReplaced } from "./kept-namespaces.js";
import { librarySources } from "./library-sources.js";
import { compileLocal, isCompiled, isFile, type LocalModule } from "./local-modules.js";
import { nodeTypesPath, PackageView, packageRoot, typescriptPath } from "./packages.js";
import type { StringAt } from "./paths.js";
import type { CompleteResult, IsCompleteResult, SnapshotParts } from "./protocol.js";
import { takeSnapshot } from "./snapshot.js";
import { sourceDependencies } from "./source-imports.js";
import { stringAt } from "./string-at.js";
import { tryRanges } from "./try-ranges.js";

type Loose = Record<string, unknown>;

/** What one conversion leaves behind, besides tslab's own result. */
export interface Compilation extends AwaitNotes {
	/** Number under which the cell keeps its last expression's value. */
	id: number;
	/** Source map from the cell (one line below tslab's prefix) to the text that runs. */
	sourceToOutput?: string;
	/** Files beside the notebook that were compiled with the cell. */
	modules: LocalModule[];
	/** Declarations of earlier cells that tslab leaves out of its own. */
	kept: string[];
	/** Type errors of a cell that runs all the same. */
	tolerated?: Diagnostic[];
}

/** The tuned compiler. */
export interface Compiler {
	/** Gives what the conversion since the last call left behind. */
	take(): Compilation;
	/** Whether a cell can run as it stands. @param verdict what tslab says of it */
	isComplete(code: string, verdict: Verdict): IsCompleteResult;
	/** Ranges of the `try` blocks that have a `catch` in JavaScript text, as offsets. */
	tryRanges(code: string): [begin: number, end: number][];
	/** Statements with an import before them, for a name that is not declared. */
	importSnippets(code: string, position: number): CompleteResult | undefined;
	/** The string literal around a position. */
	stringAt(code: string, position: number): StringAt | undefined;
	/** Declarations of earlier cells that go with a cell. */
	declarationsFor(code: string, declarations: string): string;
	/** Blanks out what only exports. */
	withoutExports(code: string): string;
	/** Whether type errors are tolerated: collected in {@link Compilation.tolerated} instead of refused. */
	tolerant: boolean;
	/** What a snapshot is made of. */
	snapshotParts(): SnapshotParts;
	/** Announces a conversion, whose first program tslab makes only to list the names that the cell declares. */
	expectConversion(): void;
}

/** Folder of the declarations of {@link globalsFiles}, and of what it imports. */
const ownTypes = join(packageRoot, "dist", "kernel");
/** Files of global declarations that every cell sees; the second is none of the build's, since it would contradict a browser's. */
const globalsFiles = [join(ownTypes, "cell", "globals.d.ts"), join(packageRoot, "kernel", "cell", "web-assembly.d.ts")];

/** Folder of the types of Node.js. */
const typesRoot = dirname(dirname(nodeTypesPath));

/**
 * Puts a tuned copy of TypeScript where tslab will load it from.
 *
 * @param folder the notebook's folder
 */
export function tuneCompiler(folder: string): Compiler {
	const snapshot = takeSnapshot();
	const { ts, copy } = loadTypeScript(snapshot);
	ts.sys.getCurrentDirectory = () => folder;
	const view = new PackageView(folder);
	const sourceFile = join(folder, "__tslab__.ts");
	let numCompilations = 0;
	const nothing = (): Compilation => ({ id: ++numCompilations, awaits: false, imports: [], modules: [], kept: [] });
	let current = nothing();
	let namesOnly = false;

	let program: CellProgram;
	let snippets: ImportSnippets;
	let pending = false;
	/** Files that cells import, as long as they are what was compiled. */
	const compiled = new Set<string>();

	copy.createWatchCompilerHost = (roots: string[], options: Loose, sys: TypeScript.System) => {
		const tuned = {
			...options,
			moduleResolution: ts.ModuleResolutionKind.Bundler,
			sourceMap: true,
			strict: false,
			lib: ["lib.es2023.d.ts", "lib.esnext.disposable.d.ts"],
			types: ["node"],
			typeRoots: [typesRoot],
		} as TypeScript.CompilerOptions;
		const seen = overlay(sys, view);
		const host = compilerHost(ts, seen, tuned);
		host.resolveModuleNameLiterals = resolver(ts, host, view, folder) as never;
		program = new CellProgram(ts, host, tuned, {
			source: sourceFile,
			declarations: join(folder, "__prev__.d.ts"),
			additions: join(folder, "__additions__.d.ts"),
			changed: (path) => compiled.delete(path),
		});
		snippets = new ImportSnippets(ts, folder, {
			resolve: (name, from) => ts.resolveModuleName(name, from, tuned, host).resolvedModule?.resolvedFileName,
			read: (path) => host.readFile(path),
		});
		const libraries = librarySources(snapshot?.sources ?? new Map(), ownTypes, (path) => host.readFile(path));
		for (const [name, file] of libraries) program.addSource(name, file);
		return { roots, sys };
	};

	copy.createWatchProgram = (host: {
		roots: string[];
		sys: TypeScript.System;
		afterProgramCreate(b: Builder): void;
	}) => {
		const update = () => {
			pending = false;
			host.afterProgramCreate(attempt(createBuilder));
		};
		const schedule = () => {
			if (!pending) host.sys.setTimeout!(update, 0);
			pending = true;
		};
		const setRoots = (roots: string[]) => program.setRoots([...roots, ...globalsFiles]);
		setRoots(host.roots);
		for (const root of host.roots) host.sys.watchFile!(root, schedule);
		update();
		return {
			close() {},
			updateRootFileNames(roots: string[]) {
				setRoots(roots);
				schedule();
			},
		};
	};

	function createBuilder(): Builder {
		if (namesOnly) {
			namesOnly = false;
			const file = program.parseCell();
			dropUnexportable(file);
			// Nothing declared: tslab goes on with this very program, so it has to be a real one.
			if ((file as unknown as { locals?: Map<string, unknown> }).locals?.size) {
				return { getSourceFile: (name: string) => (name === sourceFile ? file : undefined) } as Builder;
			}
		}
		const builder = program.update();
		dropUnexportable(builder.getSourceFile(sourceFile));
		const { emit } = builder;
		builder.emit = (file, writeFile, token, only, transformers) => {
			if (file?.fileName !== sourceFile) return emit(file, writeFile, token, only, transformers);
			const checker = builder.getProgram().getTypeChecker();
			compileImported(builder.getProgram(), file);
			const declarations = file.parent as TypeScript.Node as TypeScript.SourceFile;
			current.kept = [program.additions, ...keptNamespaces(ts, declarations, file)];
			const last = cellModule(ts, { checker, declarations, notes: current, id: current.id });
			const all = {
				before: [topLevelUsing(ts)],
				...transformers,
				after: [...(transformers?.after ?? []), last],
				afterDeclarations: [...(transformers?.afterDeclarations ?? []), blockVariables(ts, checker, file)],
			};
			const write: TypeScript.WriteFileCallback = (name, text, ...others) => {
				if (name.endsWith("__tslab__.js.map")) current.sourceToOutput = text;
				writeFile?.(name, text, ...others);
			};
			return emit(file, write, token, only, all);
		};
		return builder;
	}

	/** Compiles the files that a cell imports, however deep, unless they are as they were. */
	function compileImported(own: TypeScript.Program, cell: TypeScript.SourceFile): void {
		for (const path of sourceDependencies(own, cell)) {
			if (path === sourceFile || compiled.has(path) || !isCompiled(path)) continue;
			const module = compileLocal(ts, own, own.getSourceFile(path)!);
			if (!module) continue;
			compiled.add(path);
			current.modules.push(module);
			current.imports.push(...module.imports.filter((name) => !isFile(name)));
		}
	}

	copy.getPreEmitDiagnosticsOfFiles = (own: TypeScript.Program, files: TypeScript.SourceFile[]) => {
		const all = files.flatMap((file) => sourceDependencies(own, file).map((path) => own.getSourceFile(path)!));
		const cell = own.getSourceFile(sourceFile);
		const broken = cell ? parseErrors(ts, cell) : [];
		if (broken.length > 0) return broken;
		const found = program.diagnostics(all).filter(isError);
		if (!compiler.tolerant || found.some(({ code }) => code < 2000)) return found;
		current.tolerated = found.flatMap((diagnostic) => describeDiagnostic(ts, diagnostic, sourceFile));
		return [];
	};

	// Everything has been compiled by now.
	copy.transpileModule = (text: string) => ({ outputText: withoutMapUrl(text) });

	const compiler: Compiler = {
		tolerant: false,
		take() {
			const taken = current;
			current = nothing();
			return taken;
		},
		isComplete: (code, verdict) => isComplete(ts, code, verdict),
		declarationsFor: (code, declarations) => withoutReplaced(ts, declarations, code),
		withoutExports: (code) => withoutExports(ts, code),
		importSnippets: (code, position) => snippets.complete(code, position),
		stringAt: (code, position) => stringAt(ts, code, position),
		tryRanges: (code) => tryRanges(ts, code),
		snapshotParts() {
			const own = [dirname(typescriptPath), typesRoot, join(dirname(typesRoot), "undici-types"), ownTypes];
			const libraries = program.sourceNames.filter((name) => own.some((home) => name.startsWith(join(home, "/"))));
			return { libraries, ownTypes, target: program.target };
		},
		expectConversion() {
			view.refresh();
			namesOnly = true;
		},
	};
	return compiler;
}

function withoutMapUrl(text: string): string {
	return text.replace(/\n\/\/# sourceMappingURL=.*$/, "");
}
