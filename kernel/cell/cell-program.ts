// The program in which cells are checked, in place of TypeScript's watch program. Its checker is kept from cell to cell:
// a fresh one merges some 2,500 global names again (4 ms), while a cell is a module of its own that only needs binding.
// It is built anew when a cell imports something new, adds to the globals, or when a source beside the notebook changes.

import { isBuiltin } from "node:module";
import type TypeScript from "typescript";
import { splitAdditions } from "./additions.js";
import { libraryOptions, type SourceOptions } from "./documentation.js";
import { Resolutions, type Source } from "./resolutions.js";
import { importsOf, sourceDependencies } from "./source-imports.js";

type Ts = typeof TypeScript;
type Internal = Record<string, unknown>;

/** A program as tslab uses it. */
export interface Builder {
	getProgram(): TypeScript.Program;
	getSourceFile(name: string): TypeScript.SourceFile | undefined;
	getAllDependencies(file: TypeScript.SourceFile): readonly string[];
	emit: TypeScript.Program["emit"];
}

/** Where a program's files are. */
export interface ProgramFiles {
	/** The cell. */
	source: string;
	/** Declarations of earlier cells. */
	declarations: string;
	/** Where those of them go that add to the globals or to modules. */
	additions: string;
	/** Called with a source beside the notebook that has changed, and with those that import it. */
	changed(path: string): void;
}

/** Times that a checker is used: it remembers something of every cell that it saw (about 50 KiB). */
const maxUses = 100;

/** Keeps one program, and gives tslab a fresh view of it for each text. */
export class CellProgram {
	readonly #ts: Ts;
	readonly #host: TypeScript.CompilerHost;
	readonly #options: TypeScript.CompilerOptions;
	readonly #files: ProgramFiles;
	/** Sources of libraries, and those of the user, which change. */
	readonly #sources = new Map<string, TypeScript.SourceFile>();
	readonly #locals = new Map<string, TypeScript.SourceFile>();
	/** What the present program's cell and declarations import. */
	readonly #resolutions: Resolutions;
	#roots: readonly string[];
	#program: TypeScript.Program | undefined;
	#ownGetSourceFile!: TypeScript.Program["getSourceFile"];
	#current!: Record<string, Source>;
	#reusable = false;
	#uses = 0;
	#additions = "";
	/** The texts that the program holds, as long as it has only been asked about them: the next question may be too. */
	#asked: readonly (string | undefined)[] | undefined;

	constructor(ts: Ts, host: TypeScript.CompilerHost, options: TypeScript.CompilerOptions, files: ProgramFiles) {
		this.#ts = ts;
		this.#host = host;
		this.#options = options;
		this.#files = files;
		this.#resolutions = new Resolutions(ts, options);
		this.#roots = [];
		this.#setAdditions("");
		host.getSourceFile = (name, target) => this.#source(name, target);
	}

	/** Language version of the sources. */
	get target(): number {
		return this.#options.target!;
	}

	/** What earlier cells have added to the globals and to modules. */
	get additions(): string {
		return this.#additions;
	}

	/** Names of the libraries' sources read so far. */
	get sourceNames(): string[] {
		return [...this.#sources.keys()];
	}

	/** Adds a source that is parsed already. */
	addSource(name: string, file: TypeScript.SourceFile): void {
		this.#sources.set(name, file);
	}

	/** Sets the files that are always part of the program. */
	setRoots(roots: readonly string[]): void {
		this.#roots = roots;
		this.#reusable = false;
	}

	/** Parses and binds the cell alone, to learn which names it declares. */
	parseCell(): TypeScript.SourceFile {
		const file = this.#parse(this.#files.source)!;
		this.#bind(file);
		return file;
	}

	/** Gives the program for the texts as they are now. */
	update(): Builder {
		this.#dropChanged();
		const texts = [this.#files.source, this.#files.declarations].map((name) => this.#host.readFile(name));
		if (!this.#reusable || !this.#asked?.every((text, index) => text === texts[index])) {
			const source = this.#parse(this.#files.source)!;
			const { additions, rest } = splitAdditions(this.#ts, texts[1] ?? "");
			if (additions !== this.#additions) this.#setAdditions(additions);
			const declarations = this.#parse(this.#files.declarations, undefined, rest)!;
			this.#current = { [this.#files.source]: source, [this.#files.declarations]: declarations };
			const reused = this.#reuse(source, declarations);
			if (!reused) this.#build();
			this.#asked = reused ? texts : undefined;
		}
		const program = this.#program!;
		return {
			getProgram: () => program,
			getSourceFile: (name) => program.getSourceFile(name),
			// tslab compiles what a cell imports by itself if it is told of it.
			getAllDependencies: (file) => [file.fileName],
			emit: program.emit,
		};
	}

	/** Errors of files, the cell among them. */
	diagnostics(files: readonly TypeScript.SourceFile[]): readonly TypeScript.Diagnostic[] {
		const program = this.#program!;
		this.#asked = undefined;
		return files.flatMap((file): readonly TypeScript.Diagnostic[] => {
			const { fileName } = file;
			// The checker files errors by name, and drops one that an earlier cell had at the same place.
			if (fileName === this.#files.source) file.fileName = `${fileName}.${this.#uses}.ts`;
			try {
				const syntax = program.getSyntacticDiagnostics(file);
				const found = [...syntax, ...program.getSemanticDiagnostics(file)];
				return found.length > 0 ? found : program.getDeclarationDiagnostics(file);
			} finally {
				file.fileName = fileName;
			}
		});
	}

	#source(name: string, target: SourceOptions): TypeScript.SourceFile | undefined {
		const current = this.#current[name];
		if (current) return current;
		const kind = isLocal(name) ? this.#locals : this.#sources;
		const known = kind.get(name);
		if (known) return known;
		const file = this.#parse(name, target);
		if (file) kind.set(name, file);
		return file;
	}

	#parse(
		name: string,
		target: SourceOptions = this.#options.target!,
		text = this.#host.readFile(name),
	): Source | undefined {
		if (text === undefined) return undefined;
		const isLibrary = !isLocal(name) && name !== this.#files.declarations;
		return this.#ts.createSourceFile(name, text, isLibrary ? libraryOptions(this.#ts, target) : target) as Source;
	}

	#setAdditions(text: string): void {
		const name = this.#files.additions;
		this.#sources.set(name, this.#ts.createSourceFile(name, `export {};\n${text}`, this.#options.target!));
		this.#additions = text;
		this.#reusable = false;
	}

	#bind(file: Source): void {
		const bind = (this.#ts as unknown as Internal).bindSourceFile as (file: Source, options: unknown) => void;
		bind(file, this.#options);
	}

	/** Forgets sources beside the notebook that are no longer what was parsed. */
	#dropChanged(): void {
		const changed = new Set<string>();
		for (const [name, file] of this.#locals) {
			if (this.#host.readFile(name) === file.text) continue;
			this.#locals.delete(name);
			changed.add(name);
		}
		if (changed.size === 0) return;
		this.#reusable = false;
		for (const name of this.#locals.keys()) {
			const file = this.#program?.getSourceFile(name);
			if (file && sourceDependencies(this.#program!, file).some((path) => changed.has(path))) changed.add(name);
		}
		for (const name of changed) this.#files.changed(name);
	}

	/** Puts the new texts into the program that is there; false when they need another one. */
	#reuse(source: Source, declarations: Source): boolean {
		if (!this.#reusable || this.#uses >= maxUses) return false;
		const files = [source, declarations];
		const imported = files.map((file) => importsOf(this.#ts, file));
		for (const [index, file] of files.entries()) {
			this.#bind(file);
			const known = (name: TypeScript.StringLiteralLike) => isBuiltin(name.text) || this.#resolutions.has(file, name);
			if (!imported[index]?.every(known)) return false;
		}
		this.#uses++;
		for (const [index, file] of files.entries()) {
			file.imports = imported[index]!;
			file.originalFileName = file.fileName;
			// TypeScript keeps what it found out by path: each text needs one of its own.
			file.path = file.resolvedPath = `${file.fileName}.${this.#uses}`;
			this.#resolutions.give(this.#program!, file, `${file.fileName}.${this.#uses - 1}`);
		}
		return true;
	}

	#build(): void {
		this.#reusable = false; // Until it is there: a text may be nested too deeply for the compiler.
		const old = this.#program;
		if (old) old.getSourceFile = this.#ownGetSourceFile;
		const program = this.#ts.createProgram({
			rootNames: [...this.#roots, this.#files.additions],
			options: this.#options,
			host: this.#host,
			...(old && { oldProgram: old }),
		});
		this.#ownGetSourceFile = program.getSourceFile;
		program.getSourceFile = (name) => this.#current[name] ?? this.#ownGetSourceFile(name);
		// Completion walks from a token to its parents, which only a checker's binding sets.
		program.getTypeChecker();
		this.#program = program;
		this.#uses = 0;
		this.#resolutions.clear();
		this.#reusable = true;
		for (const file of Object.values(this.#current)) {
			if (!importsOf(this.#ts, file)) this.#reusable = false;
			this.#resolutions.take(program, file);
		}
	}
}

/** Whether a file is one of the user's sources, which change. */
function isLocal(name: string): boolean {
	return !/[\\/]node_modules[\\/]|\.d\.[cm]?ts$/.test(name);
}
