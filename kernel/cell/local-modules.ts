// The source files of the user's own that cells import: each is compiled to CommonJS in one pass, with a map from what runs
// to what was written, and run under the path of its source, so that errors and the debugger name the author's own lines.
// One that awaits at its top level runs before the cell does, behind what it imports.

import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import vm from "node:vm";
import type TypeScript from "typescript";
import { OctavoError } from "../../sdk/errors.js";
import { type AwaitNotes, awaitGuard } from "./await-guards.js";

/** A compiled file. */
export interface LocalModule {
	/** Path of the source, which is also the script's name. */
	path: string;
	/** What was written. */
	source: string;
	/** Whether it is a cell that is a module (`@module`), and its path one where nothing lies. */
	isCell: boolean;
	/** What runs. */
	output: string;
	/** Source map from the source to the output. */
	map: string;
	/** What it requires. */
	imports: string[];
	/** Whether it awaits at its top level. */
	awaits: boolean;
}

interface Running {
	exports: object;
	id: string;
	filename: string;
	loaded: boolean;
	/** Of one that awaits: settles when it has run. */
	finished?: Promise<void>;
}

const asynchronousWrapper = "(async function (exports, require, module, __filename, __dirname) { ";
/** As long as the other. */
const wrapper = asynchronousWrapper.replace("(async", "(     ");
/** What the converter puts before a cell that is a module. */
const cellPrefix = "export {};\n";
/** Endings that an import may leave out, or name by what they are compiled to. */
const endings = [".ts", ".tsx", ".mts", ".cts", ".js", ".jsx"];

/** Characters before the output's first line when it runs. */
export const wrapperLength = wrapper.length;

/** Whether a file is compiled before it runs. */
export function isCompiled(path: string): boolean {
	return endings.some((ending) => path.endsWith(ending));
}

/** Lines that the converter puts before a file's own first: one before a cell that is a module, whose file is not there. */
export function linesBefore(ts: typeof TypeScript, { fileName, text }: TypeScript.SourceFile): number {
	return text.startsWith(cellPrefix) && ts.sys.readFile(fileName) !== text ? 1 : 0;
}

/** Whether an import names a file. */
export function isFile(specifier: string): boolean {
	return /^(?:\.{0,2}\/|\.{1,2}$)/.test(specifier);
}

/** Compiles a file; undefined where the compiler gives nothing. */
export function compileLocal(
	ts: typeof TypeScript,
	program: TypeScript.Program,
	file: TypeScript.SourceFile,
): LocalModule | undefined {
	const notes: AwaitNotes = { awaits: false, imports: [] };
	const guard: TypeScript.TransformerFactory<TypeScript.SourceFile> = (context) => {
		const rewrite = awaitGuard(ts, context, notes, file.fileName);
		const visit = (node: TypeScript.Node, top: boolean): TypeScript.Node => {
			const inner = top && !ts.isFunctionLike(node) && !ts.isClassStaticBlockDeclaration(node);
			if (inner && ts.isVariableDeclarationList(node) && (node.flags & awaitUsing) === awaitUsing) notes.awaits = true;
			const visitChild = (child: TypeScript.Node) => visit(child, inner);
			return rewrite(ts.visitEachChild(node, visitChild, context), inner);
		};
		return (source) => visit(source, true) as TypeScript.SourceFile;
	};
	const awaitUsing = ts.NodeFlags.AwaitUsing;
	const options = program.getCompilerOptions();
	const { module } = options;
	let output: string | undefined;
	let map: string | undefined;
	// The cells are ES modules to the checker; this one file's emitter is told otherwise.
	options.module = ts.ModuleKind.CommonJS;
	try {
		const write: TypeScript.WriteFileCallback = (name, text) => {
			if (name.endsWith(".map")) map = text;
			else if (!/\.d\.[cm]?ts$/.test(name)) output = text.replace(/\n\/\/# sourceMappingURL=.*$/, "");
		};
		program.emit(file, write, undefined, false, { before: [guard], after: [noteImports(ts, notes)] });
	} finally {
		options.module = module!;
	}
	if (output === undefined || map === undefined) return undefined;
	const isCell = linesBefore(ts, file) > 0;
	const source = isCell ? file.text.slice(cellPrefix.length) : file.text;
	return { path: file.fileName, source, isCell, output, map, ...notes };
}

/** Runs compiled files, each once until it is compiled again. */
export class LocalModules {
	readonly #modules = new Map<string, LocalModule>();
	readonly #running = new Map<string, Running>();
	readonly #requirePackage: (specifier: string) => object;
	readonly #importScript: (path: string) => Promise<object>;
	/** ES modules that are loaded as they are, by path: their latest forms. */
	readonly #scripts = new Map<string, object>();

	/**
	 * @param requirePackage gives what is no file
	 * @param importScript loads an ES module, anew where it has changed, as compiled code expects it
	 */
	constructor(requirePackage: (specifier: string) => object, importScript: (path: string) => Promise<object>) {
		this.#requirePackage = requirePackage;
		this.#importScript = importScript;
	}

	/** Takes a file's latest form. */
	add(module: LocalModule): void {
		this.#modules.set(module.path, module);
		this.#running.delete(module.path);
	}

	/**
	 * Loads the ES modules among a file and all that it imports, and runs what awaits at its top level, each behind what it
	 * imports itself.
	 *
	 * @param folder where the import is written
	 */
	async prepare(specifier: string, folder: string, seen = new Set<string>()): Promise<void> {
		const path = resolve(folder, specifier);
		const module = this.#find(path);
		if (!module) {
			if (path.endsWith(".mjs")) this.#scripts.set(path, await this.#importScript(path));
			return;
		}
		if (seen.has(module.path)) return;
		seen.add(module.path);
		for (const name of module.imports) if (isFile(name)) await this.prepare(name, dirname(module.path), seen);
		if (module.awaits) await (this.#running.get(module.path) ?? this.#begin(module)).finished;
	}

	/**
	 * Gives the exports of a file.
	 *
	 * @param folder where the import is written
	 * @returns undefined for a file that was not compiled, such as JSON
	 * @throws {OctavoError} ERR_OCTAVO_IMPORT for one that awaits at its top level and was not imported
	 */
	require(specifier: string, folder: string): object | undefined {
		const path = resolve(folder, specifier);
		const module = this.#find(path);
		return module ? this.#run(module) : this.#scripts.get(path);
	}

	#find(path: string): LocalModule | undefined {
		const bare = path.replace(/\.([cm]?)jsx?$/, "");
		const candidates = [
			path,
			...endings.map((ending) => bare + ending),
			...endings.map((end) => join(path, `index${end}`)),
		];
		for (const candidate of candidates) {
			const module = this.#modules.get(candidate);
			if (module) return module;
		}
		return undefined;
	}

	#run(module: LocalModule): object {
		const running = this.#running.get(module.path);
		// Also where two files import each other: what there is so far.
		if (running) return running.exports;
		if (!module.awaits) return this.#begin(module).exports;
		const came = "it was required";
		throw new OctavoError("ERR_OCTAVO_IMPORT", `Expected an import of ${module.path}, which awaits, but ${came}`);
	}

	#begin({ path, output, awaits }: LocalModule): Running {
		const module: Running = { exports: {}, id: path, filename: path, loaded: false };
		this.#running.set(path, module);
		const forget = () => {
			if (this.#running.get(path) === module) this.#running.delete(path);
		};
		const folder = dirname(path);
		const native = createRequire(path);
		const require = (specifier: string) =>
			isFile(specifier) ? (this.require(specifier, folder) ?? native(specifier)) : this.#requirePackage(specifier);
		// The debugger is told of a script before it runs if it names a source map; which one does not matter.
		const text = `${awaits ? asynchronousWrapper : wrapper}${output}\n})\n//# sourceMappingURL=octavo:module`;
		const scope = [module.exports, Object.assign(require, native), module, path, folder];
		let isBegun = false;
		try {
			const given: unknown = vm.runInThisContext(text, { filename: path }).call(module.exports, ...scope);
			isBegun = true;
			if (awaits)
				module.finished = this.#finish(module, given as Promise<void>).finally(() => !module.loaded && forget());
			else module.loaded = true;
		} finally {
			if (!isBegun) forget();
		}
		return module;
	}

	async #finish(module: Running, given: Promise<void>): Promise<void> {
		await given;
		module.loaded = true;
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
