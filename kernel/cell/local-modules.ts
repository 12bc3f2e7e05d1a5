// The files beside the notebook that cells import: each is compiled to CommonJS in one pass, with a map from what runs to
// what was written, and run under the path of its source, so that errors and the debugger name the author's own lines.

import vm from "node:vm";
import type TypeScript from "typescript";
import { type AwaitNotes, awaitGuard } from "./await-guards.js";

/** A compiled file. */
export interface LocalModule {
	/** Path of the source, which is also the script's name. */
	path: string;
	/** What was written. */
	source: string;
	/** What runs. */
	output: string;
	/** Source map from the source to the output. */
	map: string;
}

const wrapper = "(function (exports, require, module, __filename, __dirname) { ";
/** Name of the scripts by which tslab's loader reaches the compiled files; of no interest to anybody. */
const loaderName = "octavo-loader";

/** Characters before the output's first line when it runs. */
export const wrapperLength = wrapper.length;

/** Gives the text that tslab's loader runs in place of a file. */
export function loaderOf({ path }: LocalModule): string {
	return `__octavo__.load(${JSON.stringify(path)}, exports, require, module, __dirname);\n//# sourceURL=${loaderName}`;
}

/** Compiles a file; undefined where the compiler gives nothing. */
export function compileLocal(
	ts: typeof TypeScript,
	program: TypeScript.Program,
	file: TypeScript.SourceFile,
	notes: AwaitNotes,
): LocalModule | undefined {
	const guard: TypeScript.TransformerFactory<TypeScript.SourceFile> = (context) => {
		const rewrite = awaitGuard(ts, context, notes);
		const visit = (node: TypeScript.Node): TypeScript.Node => rewrite(ts.visitEachChild(node, visit, context), false);
		return (source) => visit(source) as TypeScript.SourceFile;
	};
	const options = program.getCompilerOptions();
	const { module } = options;
	let output: string | undefined;
	let map: string | undefined;
	// The cells are ES modules to the checker; this one file's emitter is told otherwise.
	options.module = ts.ModuleKind.CommonJS;
	try {
		const write: TypeScript.WriteFileCallback = (name, text) => {
			if (name.endsWith(".map")) map = text;
			else if (!name.endsWith(".d.ts")) output = text.replace(/\n\/\/# sourceMappingURL=.*$/, "");
		};
		program.emit(file, write, undefined, false, { before: [guard], after: [noteImports(ts, notes)] });
	} finally {
		options.module = module!;
	}
	return output === undefined || map === undefined
		? undefined
		: { path: file.fileName, source: file.text, output, map };
}

/** Runs compiled files. */
export class LocalModules {
	readonly #modules = new Map<string, LocalModule>();

	/** Takes a file's latest form. */
	add(module: LocalModule): void {
		this.#modules.set(module.path, module);
	}

	/** Runs a file with what CommonJS gives to it. */
	load(path: string, exports: object, require: unknown, module: unknown, folder: string): void {
		const { output } = this.#modules.get(path)!;
		// The debugger is told of a script before it runs if it names a source map; which one does not matter.
		const text = `${wrapper}${output}\n})\n//# sourceMappingURL=octavo:module`;
		vm.runInThisContext(text, { filename: path }).call(exports, exports, require, module, path, folder);
	}
}

/** Notes what a compiled file requires: what it imports for types alone is gone by now. */
function noteImports(ts: typeof TypeScript, notes: AwaitNotes): TypeScript.TransformerFactory<TypeScript.SourceFile> {
	return (context) => (file) => {
		const visit = (node: TypeScript.Node): TypeScript.Node => {
			if (ts.isCallExpression(node) && ts.isIdentifier(node.expression) && node.expression.text === "require") {
				const [specifier] = node.arguments;
				if (specifier && ts.isStringLiteral(specifier)) notes.imports.push(specifier.text);
			}
			return ts.visitEachChild(node, visit, context);
		};
		return visit(file) as TypeScript.SourceFile;
	};
}
