// Runs cells with tslab's converter and executor, which only this file and cell-runner.ts import. Declarations and
// variables are kept here rather than in the executor: a cell that throws keeps what it had declared.

import { createRequire } from "node:module";
import { relative } from "node:path";
import type { ErrorContent } from "../protocol/messages.js";
import type { CellContext, CellContexts } from "./cell-context.js";
import type { Compilation } from "./cell-emitter.js";
import { makeHelpers } from "./cell-helpers.js";
import { CellLanguage } from "./cell-language.js";
import { CellRunner, type ExecutorScope } from "./cell-runner.js";
import { Compiler } from "./compiler.js";
import { loadConverter } from "./compiler-copy.js";
import { withinLimits } from "./compiler-limits.js";
import { DebugTools } from "./debug-tools.js";
import { ErrorExplainer, Explained, scriptPrefix } from "./errors.js";
import { Imports } from "./imports.js";
import { Interrupted } from "./interrupted.js";
import type { Interrupts } from "./interrupts.js";
import { type Bundle, frameKind, type SnapshotParts } from "./protocol.js";
import { explainDiagnostics } from "./refusal.js";
import { isInstance } from "./thrown.js";
import type { Converted, Converter } from "./tslab-types.js";
import { type CellNames, Variables } from "./variables.js";

/** A line that says what becomes of type errors, from its cell on. */
const typeErrorsLine = /^[ \t]*\/\/[ \t]*@octavo[ \t]+type-errors:[ \t]*(warn|refuse)[ \t]*$/m;

/** What running a cell gave. */
export interface Outcome {
	error?: ErrorContent;
	/** What is shown of the last expression's value. */
	bundle?: Bundle;
}

/** What a cell runs as. */
export interface RunningCell {
	/** The request's id, as {@link Interrupts.startRequest} was given it. */
	request: number;
	/** How tracebacks call it. */
	label: string;
	context: CellContext;
}

/** Shows the last expression's value, or gives nothing where it has displayed it already. */
type Show = (value: unknown) => Promise<Bundle | undefined>;

/** One notebook's cells: their declarations, variables and errors. */
export class Evaluator {
	readonly explainer: ErrorExplainer;
	/** Answers what is asked about cells that do not run. */
	readonly language: CellLanguage;
	readonly #folder: string;
	readonly #interrupts: Interrupts;
	readonly #contexts: CellContexts;
	readonly #compiler: Compiler;
	readonly #converter: Converter;
	/** Those that run no cell; cells that run at once have one each. */
	readonly #idleRunners: CellRunner[];
	readonly #scope: ExecutorScope;
	readonly #imports: Imports;
	readonly #variables = new Variables();
	/** Values of last expressions that have not been shown. */
	readonly #results = new Map<number, unknown>();
	readonly #metadata: (code: string) => { module?: string; jsx?: boolean };
	#declarations = "";
	#scripts = 0;

	/** @param folder the notebook's folder, from which imports resolve */
	constructor(folder: string, interrupts: Interrupts, contexts: CellContexts) {
		this.#contexts = contexts;
		this.#folder = folder;
		this.explainer = new ErrorExplainer(folder);
		this.#interrupts = interrupts;
		const require = createRequire(import.meta.url);
		this.#compiler = new Compiler(folder);
		const { createConverter, isCompleteCode } = loadConverter();
		this.#metadata = require("tslab/dist/metadata.js").getCodeMetadata;
		this.#converter = createConverter({});
		this.language = new CellLanguage({
			folder,
			compiler: this.#compiler,
			converter: this.#converter,
			declarations: () => this.#declarations,
			verdict: isCompleteCode,
		});
		const runner = new CellRunner(folder);
		this.#idleRunners = [runner];
		const { scope } = runner;
		this.#scope = scope;
		this.#imports = new Imports(folder, scope.require);
		scope.require = (id) => this.#imports.require(id);
		scope.exports = this.#variables.values;
		const helpers = makeHelpers({
			folder,
			variables: this.#variables,
			imports: this.#imports,
			keep: (id, value) => this.#results.set(id, value),
			contexts,
			interrupts,
			debug: new DebugTools({
				variables: this.#variables.values,
				source: (script) => this.explainer.source(script),
				declare: (name) => {
					this.#declarations += `\nexport declare let ${name}: any;`;
				},
				tryRanges: (text) => this.#compiler.tryRanges(text),
				evaluate: (call) => interrupts.evaluate(call),
			}),
		});
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

	/** Runs a cell. @param show part of the cell, since values run code to show themselves */
	async execute(code: string, cell: RunningCell, show: Show): Promise<Outcome> {
		const { request, label, context } = cell;
		const runner = this.#idleRunners.pop() ?? new CellRunner(this.#folder, this.#scope);
		let id = 0;
		let bundle: Bundle | undefined;
		let names: CellNames | undefined;
		try {
			await this.#interrupts.run(request, async ({ loads, begins }) => {
				const metadata = this.#metadata(code);
				if (metadata.module !== undefined) {
					this.#addModule(metadata.module, code, label, metadata.jsx === true);
					return;
				}
				const switched = typeErrorsLine.exec(code)?.[1];
				if (switched) this.#compiler.tolerant = switched === "warn";
				const [converted, compilation] = withinLimits(() => this.#convert(code));
				id = compilation.id;
				if (converted.diagnostics.length > 0) {
					throw new Explained(explainDiagnostics({ code, label, folder: this.#folder }, converted.diagnostics));
				}
				if (compilation.tolerated?.length) {
					const { traceback } = explainDiagnostics({ code, label, folder: this.#folder }, compilation.tolerated);
					context.outbox.text(frameKind.stderr, `${traceback.join("\n")}\n`);
				}
				for (const module of compilation.modules) {
					this.#imports.addLocal(module);
					this.explainer.addFile(relative(this.#folder, module.path), module);
				}
				// Now, so that a cell of another shell that is converted while this one loads adds to them.
				const before = this.#declarations;
				const after = [converted.declOutput ?? "", ...compilation.kept].join("\n");
				this.#declarations = after;
				await this.#contexts.run(context, async () => {
					if (compilation.imports.length > 0) {
						loads();
						await this.#imports.preload(compilation.imports).catch((error: unknown) => {
							if (this.#declarations === after) this.#declarations = before;
							throw error;
						});
					}
					const name = this.#note(converted, compilation, code, label);
					begins();
					names = this.#variables.begin();
					await runner.run(name, converted);
					const value = this.#results.get(id);
					if (value !== undefined) bundle = await show(value);
					await context.outbox.flushed();
				});
			});
			await this.#release(cell);
			return bundle === undefined ? {} : { bundle };
		} catch (error) {
			names?.restore();
			if (isInstance(error, Interrupted)) this.#imports.interrupted();
			// In an object: what is thrown may have a `then`.
			const { last } = await this.#release(cell, { error }).then(
				() => ({ last: error }),
				(another) => ({ last: another }),
			);
			return { error: await this.#explain(last, cell) };
		} finally {
			this.#results.delete(id);
			runner.letGo();
			this.#idleRunners.push(runner);
		}
	}

	/** Disposes of what the cell declared with `using`; by then its value has been shown. */
	async #release({ request, context }: RunningCell, failed?: { error: unknown }): Promise<void> {
		if (context.resources.isEmpty) return;
		await this.#interrupts.run(request, async ({ begins }) => {
			begins();
			await this.#interrupts.wait(this.#contexts.run(context, () => context.resources.dispose(failed)));
			await context.outbox.flushed();
		});
	}

	/** As part of the cell: what is thrown may have code of its own that shows it. */
	async #explain(error: unknown, { request, context }: RunningCell): Promise<ErrorContent> {
		if (isInstance(error, Explained)) return error.content;
		let content: ErrorContent | undefined;
		try {
			if (isInstance(error, Interrupted)) throw error;
			await this.#interrupts.run(request, async ({ begins }) => {
				begins();
				content = this.#contexts.run(context, () => this.explainer.explain(error));
				await context.outbox.flushed();
			});
		} catch (interrupted) {
			content ??= this.explainer.explain(interrupted);
		}
		return content!;
	}

	/** Takes a cell as a file that others import. @param name the file's, without its ending */
	#addModule(name: string, code: string, label: string, jsx: boolean): void {
		const found = this.#converter.addModule(name, code, { jsx });
		if (found.length === 0) return;
		// The file is the cell itself.
		const own = found.map(({ fileName: _, ...diagnostic }) => diagnostic);
		throw new Explained(explainDiagnostics({ code, label, folder: this.#folder }, own));
	}

	#convert(code: string): [Converted, Compilation] {
		this.#compiler.take();
		this.#compiler.expectConversion();
		const declarations = this.#compiler.declarationsFor(code, this.#declarations);
		const converted = this.#converter.convert(declarations, this.#compiler.withoutExports(code));
		const compilation = this.#compiler.take();
		converted.hasToplevelAwait = compilation.awaits;
		return [converted, compilation];
	}

	/** Names the script, so that its frames can be told from others, and notes what it is made of. */
	#note(converted: Converted, { sourceToOutput }: Compilation, code: string, label: string): string {
		const name = `${scriptPrefix}${++this.#scripts}`;
		const wrapper = converted.hasToplevelAwait
			? "(async function(exports, require) { "
			: "(function(exports, require) { ";
		const numLines = (converted.output ?? "").split("\n").length;
		const script = { name, offset: wrapper.length, numLines, linesBefore: 1 };
		this.explainer.add(label, code, sourceToOutput === undefined ? script : { ...script, sourceToOutput });
		return name;
	}
}
