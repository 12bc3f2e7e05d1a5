// Prints cells as what runs, and compiles the files beside the notebook that they import. What tslab has no place for in
// its own result is kept here, until it is taken.

import type TypeScript from "typescript";
import type { AwaitNotes } from "./await-guards.js";
import { blockVariables } from "./block-variables.js";
import { cellModule } from "./cell-module.js";
import type { Builder } from "./cell-program.js";
import { topLevelUsing } from "./cell-syntax.js";
import { keptNamespaces } from "./kept-namespaces.js";
import { compileLocal, isCompiled, isFile, type LocalModule } from "./local-modules.js";
import type { Diagnostic } from "./refusal.js";
import { sourceDependencies } from "./source-imports.js";

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

/** Prints the cells of one notebook. */
export class CellEmitter {
	readonly #ts: typeof TypeScript;
	readonly #sourceFile: string;
	/** Files that cells import, as long as they are what was compiled. */
	readonly #compiled = new Set<string>();
	#numCompilations = 0;
	#current: Compilation;

	/** @param sourceFile where tslab puts the cell */
	constructor(ts: typeof TypeScript, sourceFile: string) {
		this.#ts = ts;
		this.#sourceFile = sourceFile;
		this.#current = this.#nothing();
	}

	/** Gives what the conversion since the last call left behind. */
	take(): Compilation {
		const taken = this.#current;
		this.#current = this.#nothing();
		return taken;
	}

	/** Notes type errors of a cell that runs all the same. */
	tolerate(found: Diagnostic[]): void {
		this.#current.tolerated = found;
	}

	/** Has a file compiled again when a cell imports it next. */
	forget(path: string): void {
		this.#compiled.delete(path);
	}

	/** Has a program print its cell in this way. @param additions what earlier cells have added to the globals */
	attach(builder: Builder, additions: () => string): void {
		const { emit } = builder;
		builder.emit = (file, writeFile, token, only, transformers) => {
			if (file?.fileName !== this.#sourceFile) return emit(file, writeFile, token, only, transformers);
			const write: TypeScript.WriteFileCallback = (name, text, ...others) => {
				if (name.endsWith("__tslab__.js.map")) this.#current.sourceToOutput = text;
				writeFile?.(name, text, ...others);
			};
			const all = this.#transformers(builder.getProgram(), file, additions(), transformers);
			return emit(file, write, token, only, all);
		};
	}

	#nothing(): Compilation {
		return { id: ++this.#numCompilations, awaits: false, imports: [], modules: [], kept: [] };
	}

	/** tslab's own transformers of a cell, and ours around them. */
	#transformers(
		program: TypeScript.Program,
		file: TypeScript.SourceFile,
		additions: string,
		own: TypeScript.CustomTransformers | undefined,
	): TypeScript.CustomTransformers {
		const ts = this.#ts;
		const checker = program.getTypeChecker();
		this.#compileImported(program, file);
		const declarations = file.parent as TypeScript.Node as TypeScript.SourceFile;
		this.#current.kept = [additions, ...keptNamespaces(ts, declarations, file)];
		const last = cellModule(ts, { checker, declarations, notes: this.#current, id: this.#current.id });
		return {
			before: [topLevelUsing(ts)],
			...own,
			after: [...(own?.after ?? []), last],
			afterDeclarations: [...(own?.afterDeclarations ?? []), blockVariables(ts, checker, file)],
		};
	}

	/** Compiles the files that a cell imports, however deep, unless they are as they were. */
	#compileImported(program: TypeScript.Program, cell: TypeScript.SourceFile): void {
		for (const path of sourceDependencies(program, cell)) {
			if (path === this.#sourceFile || this.#compiled.has(path) || !isCompiled(path)) continue;
			const module = compileLocal(this.#ts, program, program.getSourceFile(path)!);
			if (!module) continue;
			this.#compiled.add(path);
			this.#current.modules.push(module);
			this.#current.imports.push(...module.imports.filter((name) => !isFile(name)));
		}
	}
}
