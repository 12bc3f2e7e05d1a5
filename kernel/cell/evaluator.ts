// Runs cells with tslab's converter and executor; the only file that imports tslab. Declarations and variables are kept
// here rather than in the executor: a cell that throws keeps what it had declared.

import { createRequire } from "node:module";
import { relative } from "node:path";
import vm from "node:vm";
import type { ErrorContent } from "../protocol/messages.js";
import { type Compilation, type Compiler, tuneCompiler } from "./compiler.js";
import { DebugTools } from "./debug-tools.js";
import { ErrorExplainer, Explained } from "./errors.js";
import { defaultOf, Imports, type Module, namespaceOf } from "./imports.js";
import { Interrupted, type Interrupts } from "./interrupts.js";
import { describeCompletions, describeInfo } from "./language.js";
import { LocalModules } from "./local-modules.js";
import { completePath } from "./paths.js";
import type { Bundle, CompleteResult, InspectResult, IsCompleteResult, SnapshotParts } from "./protocol.js";
import type { Converted, Converter, Executor } from "./tslab-types.js";
import { Variables } from "./variables.js";

/** Errors that more input may mend: an open comment, an open template literal, and what the parser still expects. */
const openEnded = new Set([1005, 1010, 1109, 1160]);

/** A line that says what becomes of type errors, from its cell on. */
const typeErrorsLine = /^[ \t]*\/\/[ \t]*@octavo[ \t]+type-errors:[ \t]*(warn|refuse)[ \t]*$/m;

/** What running a cell gave. */
export interface Outcome {
	error?: ErrorContent;
	/** What is shown of the last expression's value. */
	bundle?: Bundle;
}

/** One notebook's cells: their declarations, variables and errors. */
export class Evaluator {
	readonly explainer = new ErrorExplainer();
	readonly #folder: string;
	readonly #interrupts: Interrupts;
	readonly #flushed: () => Promise<void>;
	readonly #compiler: Compiler;
	readonly #converter: Converter;
	readonly #executor: Executor;
	readonly #imports: Imports;
	readonly #variables = new Variables();
	readonly #modules = new LocalModules();
	readonly #isCompleteCode: (code: string) => { completed: boolean; indent?: string };
	readonly #metadata: (code: string) => { module?: string; mode?: string };
	#declarations = "";
	#prepared: Converted | undefined;
	#thrown: { value: unknown } | undefined;
	#printed: string[] = [];
	#scripts = 0;
	#scriptName = "";

	/**
	 * @param folder the notebook's folder, from which imports resolve
	 * @param flushed settles when all that a cell displays has been sent; part of the cell too
	 */
	constructor(folder: string, interrupts: Interrupts, flushed: () => Promise<void>) {
		this.#flushed = flushed;
		this.#folder = folder;
		this.#interrupts = interrupts;
		const require = createRequire(import.meta.url);
		this.#compiler = tuneCompiler(folder);
		const { createConverter, isCompleteCode } = require("tslab/dist/converter.js");
		const { createExecutor } = require("tslab/dist/executor.js");
		this.#metadata = require("tslab/dist/metadata.js").getCodeMetadata;
		this.#isCompleteCode = isCompleteCode;
		this.#converter = createConverter({});
		const prepared = {
			convert: () => this.#prepared ?? { diagnostics: [] },
			addModule: (name: string, code: string, meta: unknown) => this.#converter.addModule(name, code, meta),
		};
		this.#executor = createExecutor(
			folder,
			{ node: prepared, browser: prepared, close() {} },
			{
				log() {},
				error: (first: unknown, ...rest: unknown[]) => {
					if (rest.length > 0) this.#printed.push(`${rest.slice(0, 3).join("")}: ${rest[3]}`);
					else this.#thrown = { value: first };
				},
			},
		);
		const { __tslab__: tslab } = globalThis as unknown as {
			__tslab__: { exports: object; require(id: string): Module };
		};
		this.#imports = new Imports(folder, tslab.require);
		tslab.require = (id) => this.#imports.require(id);
		tslab.exports = this.#variables.values;
		const helpers = {
			declare: (accessors: object) => this.#variables.declare(accessors),
			defaultOf,
			namespaceOf,
			wait: (value: unknown) => interrupts.wait(value),
			iterate: (value: AsyncIterable<unknown>) => interrupts.iterate(value),
			import: (specifier: unknown) => this.#imports.import(specifier),
			load: (...file: Parameters<LocalModules["load"]>) => this.#modules.load(...file),
			debug: new DebugTools({
				variables: this.#variables.values,
				source: (script) => this.explainer.source(script),
				declare: (name) => {
					this.#declarations += `\nexport declare let ${name}: any;`;
				},
				tryRanges: (text) => this.#compiler.tryRanges(text),
			}),
		};
		Object.defineProperty(globalThis, "__octavo__", { value: helpers });
	}

	/** What a snapshot for other workers is made of. */
	get snapshotParts(): SnapshotParts {
		return this.#compiler.snapshotParts();
	}

	/** Converts something small, so that the first cell finds a warm compiler. */
	warmUp(): void {
		this.#convert("const octavoWarm: string = [1].join(); octavoWarm");
	}

	/**
	 * Runs a cell.
	 *
	 * @param label how tracebacks call it
	 * @param show shows the last expression's value, or gives nothing where it has displayed it already; part of the cell,
	 *   since values run code to show themselves
	 */
	async execute(code: string, label: string, show: (value: unknown) => Promise<Bundle | undefined>): Promise<Outcome> {
		let lastName: string | undefined;
		let bundle: Bundle | undefined;
		this.#variables.begin();
		try {
			await this.#interrupts.run(async ({ loads, begins }) => {
				if (this.#metadata(code).module) {
					begins();
					await this.#run(code);
					if (this.#printed.length > 0) throw new Error(this.#printed.join("\n"));
					return;
				}
				const switched = typeErrorsLine.exec(code)?.[1];
				if (switched) this.#compiler.tolerant = switched === "warn";
				const [converted, compilation] = this.#convert(code);
				if (converted.diagnostics.length > 0) {
					throw new Explained(this.explainer.explainDiagnostics(code, label, converted.diagnostics));
				}
				if (compilation.tolerated?.length) {
					const { traceback } = this.explainer.explainDiagnostics(code, label, compilation.tolerated);
					process.stderr.write(`${traceback.join("\n")}\n`);
				}
				for (const module of compilation.modules) {
					this.#modules.add(module);
					this.explainer.addFile(relative(this.#folder, module.path), module);
				}
				if (compilation.imports.length > 0) {
					loads();
					await this.#imports.preload(compilation.imports);
				}
				lastName = converted.lastExpressionVar;
				this.#prepared = this.#scripted(converted, compilation, code, label);
				this.#declarations = converted.declOutput ?? "";
				begins();
				await this.#run(code);
				const value = lastName === undefined ? undefined : this.#variables.values[lastName];
				if (value !== undefined) bundle = await show(value);
				await this.#flushed();
			});
			return bundle === undefined ? {} : { bundle };
		} catch (error) {
			if (error instanceof Interrupted) this.#executor.interrupt();
			this.#variables.restore();
			return { error: await this.#explain(error) };
		} finally {
			if (lastName !== undefined) delete this.#variables.values[lastName];
			this.#prepared = undefined;
		}
	}

	/** Completions at a position, in UTF-16 units. */
	complete(code: string, position: number): CompleteResult {
		const string = this.#compiler.stringAt(code, position);
		const path = string && completePath(this.#folder, string, position);
		if (path) return path;
		return describeCompletions(this.#converter.complete(this.#declarations, code, position), code, position);
	}

	/** What is known of the name at a position, in UTF-16 units. */
	inspect(code: string, position: number): InspectResult {
		const info = this.#converter.inspect(this.#declarations, code, position);
		// Right behind a name, or behind its opening bracket, the name is still what the user asks about.
		return describeInfo(info ?? this.#converter.inspect(this.#declarations, code, Math.max(0, position - 1)));
	}

	/** Whether a cell can run as it stands. */
	isComplete(code: string): IsCompleteResult {
		const { completed, indent } = this.#isCompleteCode(code);
		if (!completed) return { status: "incomplete", indent: indent ?? "" };
		const [error] = this.#compiler.syntaxErrors(code);
		if (!error) return { status: "complete" };
		return error.atEnd && openEnded.has(error.code) ? { status: "incomplete", indent: "" } : { status: "invalid" };
	}

	/** As part of the cell: what is thrown may have code of its own that shows it. */
	async #explain(error: unknown): Promise<ErrorContent> {
		if (error instanceof Explained) return error.content;
		let content: ErrorContent | undefined;
		try {
			if (error instanceof Interrupted) throw error;
			await this.#interrupts.run(async ({ begins }) => {
				begins();
				content = this.explainer.explain(error);
				await this.#flushed();
			});
		} catch (interrupted) {
			content ??= this.explainer.explain(interrupted);
		}
		return content!;
	}

	#convert(code: string): [Converted, Compilation] {
		this.#compiler.take();
		this.#compiler.expectConversion();
		const converted = this.#converter.convert(this.#declarations, code);
		const compilation = this.#compiler.take();
		converted.hasToplevelAwait = compilation.awaits;
		return [converted, compilation];
	}

	/** Names the script, so that its frames can be told from others. */
	#scripted(converted: Converted, compilation: Compilation, code: string, label: string): Converted {
		const name = `octavo-cell-${++this.#scripts}`;
		const wrapper = converted.hasToplevelAwait
			? "(async function(exports, require) { "
			: "(function(exports, require) { ";
		const output = converted.output ?? "";
		const numLines = output.split("\n").length;
		const { sourceToOutput } = compilation;
		const script = { name, offset: wrapper.length, numLines, linesBefore: 1 };
		this.explainer.add(label, code, sourceToOutput === undefined ? script : { ...script, sourceToOutput });
		const { lastExpressionVar: _, ...rest } = converted;
		this.#scriptName = name;
		// The debugger is told of a script before it runs if it names a source map; which one does not matter.
		return { ...rest, output: `${output}\n//# sourceMappingURL=octavo:${name}` };
	}

	async #run(code: string): Promise<void> {
		this.#thrown = undefined;
		this.#printed = [];
		// tslab asks for breakOnSigint, which starts a thread a cell (1 ms); interrupts come another way here. It also gives
		// the script no name. Put back before the cell's own code runs.
		const runInThisContext = vm.runInThisContext;
		vm.runInThisContext = (text: string) => {
			vm.runInThisContext = runInThisContext;
			return runInThisContext(text, { filename: this.#scriptName });
		};
		try {
			await this.#executor.execute(code);
		} finally {
			vm.runInThisContext = runInThisContext;
		}
		const thrown = this.#thrown as { value: unknown } | undefined;
		if (thrown) throw thrown.value;
	}
}
