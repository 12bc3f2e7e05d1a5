// Runs cells with tslab's converter and executor, which only this file and cell-runner.ts import. Declarations and
// variables are kept here rather than in the executor: a cell that throws keeps what it had declared.

import { createRequire } from "node:module";
import { relative } from "node:path";
import type { ErrorContent } from "../protocol/messages.js";
import { makeHelpers } from "./cell-helpers.js";
import { CellRunner } from "./cell-runner.js";
import { type Compilation, type Compiler, tuneCompiler } from "./compiler.js";
import { loadConverter } from "./compiler-copy.js";
import { unlessTooDeep, withinLimits } from "./compiler-limits.js";
import { DebugTools } from "./debug-tools.js";
import { CellResources } from "./disposables.js";
import { ErrorExplainer, Explained, scriptPrefix } from "./errors.js";
import { Imports } from "./imports.js";
import { Interrupted, type Interrupts } from "./interrupts.js";
import type { Verdict } from "./is-complete.js";
import { describeCompletions, describeInfo } from "./language.js";
import { completePath } from "./paths.js";
import type { Bundle, CompleteResult, InspectResult, IsCompleteResult, SnapshotParts } from "./protocol.js";
import { isInstance } from "./thrown.js";
import type { Converted, Converter } from "./tslab-types.js";
import { Variables } from "./variables.js";

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
	readonly #runner: CellRunner;
	readonly #imports: Imports;
	readonly #variables = new Variables();
	readonly #resources = new CellResources();
	readonly #isCompleteCode: (code: string) => Verdict;
	readonly #metadata: (code: string) => { module?: string; jsx?: boolean };
	#declarations = "";
	#scripts = 0;

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
		const { createConverter, isCompleteCode } = loadConverter();
		this.#metadata = require("tslab/dist/metadata.js").getCodeMetadata;
		this.#isCompleteCode = isCompleteCode;
		this.#converter = createConverter({});
		this.#runner = new CellRunner(folder);
		const { scope } = this.#runner;
		this.#imports = new Imports(folder, scope.require);
		scope.require = (id) => this.#imports.require(id);
		scope.exports = this.#variables.values;
		const helpers = makeHelpers({
			folder,
			variables: this.#variables,
			imports: this.#imports,
			resources: this.#resources,
			interrupts,
			debug: new DebugTools({
				variables: this.#variables.values,
				source: (script) => this.explainer.source(script),
				declare: (name) => {
					this.#declarations += `\nexport declare let ${name}: any;`;
				},
				tryRanges: (text) => this.#compiler.tryRanges(text),
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
				const metadata = this.#metadata(code);
				if (metadata.module !== undefined) {
					this.#addModule(metadata.module, code, label, metadata.jsx === true);
					return;
				}
				const switched = typeErrorsLine.exec(code)?.[1];
				if (switched) this.#compiler.tolerant = switched === "warn";
				const [converted, compilation] = withinLimits(() => this.#convert(code));
				if (converted.diagnostics.length > 0) {
					throw new Explained(this.explainer.explainDiagnostics(code, label, converted.diagnostics));
				}
				if (compilation.tolerated?.length) {
					const { traceback } = this.explainer.explainDiagnostics(code, label, compilation.tolerated);
					process.stderr.write(`${traceback.join("\n")}\n`);
				}
				for (const module of compilation.modules) {
					this.#imports.addLocal(module);
					this.explainer.addFile(relative(this.#folder, module.path), module);
				}
				if (compilation.imports.length > 0) {
					loads();
					await this.#imports.preload(compilation.imports);
				}
				lastName = converted.lastExpressionVar;
				const name = this.#note(converted, compilation, code, label);
				this.#declarations = [converted.declOutput ?? "", ...compilation.kept].join("\n");
				begins();
				await this.#runner.run(name, converted);
				const value = lastName === undefined ? undefined : this.#variables.values[lastName];
				if (value !== undefined) bundle = await show(value);
				await this.#flushed();
			});
			await this.#release();
			return bundle === undefined ? {} : { bundle };
		} catch (error) {
			this.#variables.restore();
			if (isInstance(error, Interrupted)) this.#imports.interrupted();
			// In an object: what is thrown may have a `then`.
			const { last } = await this.#release({ error }).then(
				() => ({ last: error }),
				(another) => ({ last: another }),
			);
			return { error: await this.#explain(last) };
		} finally {
			if (lastName !== undefined) delete this.#variables.values[lastName];
			this.#runner.letGo();
		}
	}

	/** Completions at a position, in UTF-16 units. */
	complete(code: string, position: number): CompleteResult {
		const nothing = { start: position, end: position, matches: [] };
		return unlessTooDeep<CompleteResult>(
			() => this.#complete(code, position),
			() => nothing,
		);
	}

	#complete(code: string, position: number): CompleteResult {
		const string = /["'`]/.test(code) ? this.#compiler.stringAt(code, position) : undefined;
		const path = string && completePath(this.#folder, string, position);
		if (path) return path;
		const found = describeCompletions(this.#converter.complete(this.#declarations, code, position), code, position);
		const isKnown = found.matches.some(({ text }) => text.startsWith(code.slice(found.start, position)));
		return (isKnown ? undefined : this.#compiler.importSnippets(code, position)) ?? found;
	}

	/** What is known of the name at a position, in UTF-16 units. */
	inspect(code: string, position: number): InspectResult {
		const inspect = (at: number) => this.#converter.inspect(this.#declarations, code, at);
		// Right behind a name, or behind its opening bracket, the name is still what the user asks about.
		const ask = () => inspect(position) ?? inspect(Math.max(0, position - 1));
		return describeInfo(unlessTooDeep(ask, () => undefined));
	}

	/** Whether a cell can run as it stands. */
	isComplete(code: string): IsCompleteResult {
		const ask = () => this.#compiler.isComplete(code, this.#isCompleteCode(code));
		return unlessTooDeep(ask, () => ({ status: "invalid" }));
	}

	/** Disposes of what the cell declared with `using`; by then its value has been shown. */
	async #release(failed?: { error: unknown }): Promise<void> {
		if (this.#resources.isEmpty) return;
		await this.#interrupts.run(async ({ begins }) => {
			begins();
			await this.#interrupts.wait(this.#resources.dispose(failed));
			await this.#flushed();
		});
	}

	/** As part of the cell: what is thrown may have code of its own that shows it. */
	async #explain(error: unknown): Promise<ErrorContent> {
		if (isInstance(error, Explained)) return error.content;
		let content: ErrorContent | undefined;
		try {
			if (isInstance(error, Interrupted)) throw error;
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

	/** Takes a cell as a file that others import. @param name the file's, without its ending */
	#addModule(name: string, code: string, label: string, jsx: boolean): void {
		const found = this.#converter.addModule(name, code, { jsx });
		if (found.length === 0) return;
		// The file is the cell itself.
		const own = found.map(({ fileName: _, ...diagnostic }) => diagnostic);
		throw new Explained(this.explainer.explainDiagnostics(code, label, own));
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
