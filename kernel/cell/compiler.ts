// Tunes the TypeScript that tslab drives, by handing tslab a copy of its exports: module resolution as bundlers do it,
// octavo's packages in view of every folder, top-level await, source maps, and one program kept from cell to cell
// instead of several a cell (2 ms a cell instead of 12).

import { dirname, join } from "node:path";
import type TypeScript from "typescript";
import { CellEmitter, type Compilation } from "./cell-emitter.js";
import { type Builder, CellProgram } from "./cell-program.js";
import { withoutExports } from "./cell-syntax.js";
import { loadTypeScript } from "./compiler-copy.js";
import { compilerHost, overlay, resolver } from "./compiler-host.js";
import { describeDiagnostic, isError, parseErrors } from "./diagnostics.js";
import { ImportSnippets } from "./import-snippets.js";
import { isComplete, type Verdict } from "./is-complete.js";
import { dropUnexportable, withoutReplaced } from "./kept-namespaces.js";
import { librarySources } from "./library-sources.js";
import { nodeTypesPath, PackageView, packageRoot, typescriptPath } from "./packages.js";
import type { StringAt } from "./paths.js";
import type { CompleteResult, IsCompleteResult, SnapshotParts } from "./protocol.js";
import { type Snapshot, takeSnapshot } from "./snapshot.js";
import { sourceDependencies } from "./source-imports.js";
import { stringAt } from "./string-at.js";
import { tryRanges } from "./try-ranges.js";
import { replaceWatchProgram } from "./watch-program.js";

/** Folder of the declarations of {@link globalsFiles}, and of what it imports. */
const ownTypes = join(packageRoot, "dist", "kernel");
/** Files of global declarations that every cell sees; the second is none of the build's, since it would contradict a browser's. */
const globalsFiles = [join(ownTypes, "cell", "globals.d.ts"), join(packageRoot, "kernel", "cell", "web-assembly.d.ts")];

/** Folder of the types of Node.js. */
const typesRoot = dirname(dirname(nodeTypesPath));

/** The tuned compiler of one notebook. */
export class Compiler {
	/** Whether type errors are tolerated: collected in {@link Compilation.tolerated} instead of refused. Default false. */
	tolerant = false;
	readonly #ts: typeof TypeScript;
	readonly #folder: string;
	readonly #sourceFile: string;
	readonly #snapshot: Snapshot | undefined;
	readonly #view: PackageView;
	readonly #emitter: CellEmitter;
	#program!: CellProgram;
	#snippets!: ImportSnippets;
	#namesOnly = false;

	/**
	 * Puts the tuned copy where tslab will load it from; the converter that tslab makes then drives this compiler.
	 *
	 * @param folder the notebook's folder
	 */
	constructor(folder: string) {
		this.#snapshot = takeSnapshot();
		const { ts, copy } = loadTypeScript(this.#snapshot);
		this.#ts = ts;
		this.#folder = folder;
		this.#sourceFile = join(folder, "__tslab__.ts");
		this.#view = new PackageView(folder);
		this.#emitter = new CellEmitter(ts, this.#sourceFile);
		ts.sys.getCurrentDirectory = () => folder;
		replaceWatchProgram(copy, {
			open: (sys, options) => this.#open(sys, options),
			setRoots: (roots) => this.#program.setRoots([...roots, ...globalsFiles]),
			make: () => this.#makeBuilder(),
		});
		copy.getPreEmitDiagnosticsOfFiles = (own: TypeScript.Program, files: TypeScript.SourceFile[]) =>
			this.#errors(own, files);
		// Everything has been compiled by now.
		copy.transpileModule = (text: string) => ({ outputText: withoutMapUrl(text) });
	}

	/** Announces a conversion, whose first program tslab makes only to list the names that the cell declares. */
	expectConversion(): void {
		this.#view.refresh();
		this.#namesOnly = true;
	}

	/** Gives what the conversion since the last call left behind. */
	take(): Compilation {
		return this.#emitter.take();
	}

	/** Whether a cell can run as it stands. @param verdict what tslab says of it */
	isComplete(code: string, verdict: Verdict): IsCompleteResult {
		return isComplete(this.#ts, code, verdict);
	}

	/** Ranges of the `try` blocks that have a `catch` in JavaScript text, as offsets. */
	tryRanges(code: string): [begin: number, end: number][] {
		return tryRanges(this.#ts, code);
	}

	/** Statements with an import before them, for a name that is not declared. */
	importSnippets(code: string, position: number): CompleteResult | undefined {
		return this.#snippets.complete(code, position);
	}

	/** The string literal around a position. */
	stringAt(code: string, position: number): StringAt | undefined {
		return stringAt(this.#ts, code, position);
	}

	/** Declarations of earlier cells that go with a cell. */
	declarationsFor(code: string, declarations: string): string {
		return withoutReplaced(this.#ts, declarations, code);
	}

	/** Blanks out what only exports. */
	withoutExports(code: string): string {
		return withoutExports(this.#ts, code);
	}

	/** What a snapshot is made of. */
	snapshotParts(): SnapshotParts {
		const own = [dirname(typescriptPath), typesRoot, join(dirname(typesRoot), "undici-types"), ownTypes];
		const { sourceNames, target } = this.#program;
		const libraries = sourceNames.filter((name) => own.some((home) => name.startsWith(join(home, "/"))));
		return { libraries, ownTypes, target };
	}

	/** Makes the program, with the options that tslab has chosen and ours over them. */
	#open(sys: TypeScript.System, given: TypeScript.CompilerOptions): void {
		const ts = this.#ts;
		const folder = this.#folder;
		const options: TypeScript.CompilerOptions = {
			...given,
			moduleResolution: ts.ModuleResolutionKind.Bundler,
			sourceMap: true,
			strict: false,
			lib: ["lib.es2023.d.ts", "lib.esnext.disposable.d.ts"],
			types: ["node"],
			typeRoots: [typesRoot],
		};
		const host = compilerHost(ts, overlay(sys, this.#view), options);
		host.resolveModuleNameLiterals = resolver(ts, host, this.#view, folder) as never;
		this.#program = new CellProgram(ts, host, options, {
			source: this.#sourceFile,
			declarations: join(folder, "__prev__.d.ts"),
			additions: join(folder, "__additions__.d.ts"),
			changed: (path) => this.#emitter.forget(path),
		});
		this.#snippets = new ImportSnippets(ts, folder, {
			resolve: (name, from) => ts.resolveModuleName(name, from, options, host).resolvedModule?.resolvedFileName,
			read: (path) => host.readFile(path),
		});
		const parsed = this.#snapshot?.sources ?? new Map();
		for (const [name, file] of librarySources(parsed, ownTypes, (path) => host.readFile(path))) {
			this.#program.addSource(name, file);
		}
	}

	#makeBuilder(): Builder {
		if (this.#namesOnly) {
			this.#namesOnly = false;
			const file = this.#program.parseCell();
			dropUnexportable(file);
			// Nothing declared: tslab goes on with this very program, so it has to be a real one.
			if ((file as unknown as { locals?: Map<string, unknown> }).locals?.size) {
				return { getSourceFile: (name: string) => (name === this.#sourceFile ? file : undefined) } as Builder;
			}
		}
		const builder = this.#program.update();
		dropUnexportable(builder.getSourceFile(this.#sourceFile));
		this.#emitter.attach(builder, () => this.#program.additions);
		return builder;
	}

	/** Errors of files and of what they import; type errors only where they are not tolerated. */
	#errors(own: TypeScript.Program, files: TypeScript.SourceFile[]): readonly TypeScript.Diagnostic[] {
		const ts = this.#ts;
		const all = files.flatMap((file) => sourceDependencies(own, file).map((path) => own.getSourceFile(path)!));
		const cell = own.getSourceFile(this.#sourceFile);
		const broken = cell ? parseErrors(ts, cell) : [];
		if (broken.length > 0) return broken;
		const found = this.#program.diagnostics(all).filter(isError);
		if (!this.tolerant || found.some(({ code }) => code < 2000)) return found;
		this.#emitter.tolerate(found.flatMap((diagnostic) => describeDiagnostic(ts, diagnostic, this.#sourceFile)));
		return [];
	}
}

function withoutMapUrl(text: string): string {
	return text.replace(/\n\/\/# sourceMappingURL=.*$/, "");
}
