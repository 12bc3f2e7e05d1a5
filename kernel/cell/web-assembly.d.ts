// Types of WebAssembly, which Node.js has and its own types leave to the browser's. Interfaces and variables, so that they merge
// with the browser's where a package brings those in.

declare namespace WebAssembly {
	type ImportExportKind = "function" | "global" | "memory" | "table";
	type ValueType = "anyfunc" | "externref" | "f32" | "f64" | "i32" | "i64" | "v128";
	type TableKind = "anyfunc" | "externref";
	// biome-ignore lint/suspicious/noExplicitAny: what a module takes and gives is known to its author alone.
	type ExportValue = any;
	type ImportValue = ExportValue | number;
	type Exports = Record<string, ExportValue>;
	type ModuleImports = Record<string, ImportValue>;
	type Imports = Record<string, ModuleImports>;
	type Bytes = ArrayBufferLike | NodeJS.ArrayBufferView;

	interface ModuleImportDescriptor {
		module: string;
		name: string;
		kind: ImportExportKind;
	}
	interface ModuleExportDescriptor {
		name: string;
		kind: ImportExportKind;
	}
	interface MemoryDescriptor {
		/** In pages of 64 KiB, as `maximum`. */
		initial: number;
		maximum?: number;
		shared?: boolean;
	}
	interface TableDescriptor {
		element: TableKind;
		initial: number;
		maximum?: number;
	}
	interface GlobalDescriptor {
		value: ValueType;
		mutable?: boolean;
	}
	interface WebAssemblyInstantiatedSource {
		instance: Instance;
		module: Module;
	}

	interface Module {
		readonly [Symbol.toStringTag]: string;
	}
	var Module: {
		prototype: Module;
		new (bytes: Bytes): Module;
		customSections(module: Module, name: string): ArrayBuffer[];
		exports(module: Module): ModuleExportDescriptor[];
		imports(module: Module): ModuleImportDescriptor[];
	};
	interface Instance {
		readonly exports: Exports;
	}
	var Instance: { prototype: Instance; new (module: Module, imports?: Imports): Instance };
	interface Memory {
		readonly buffer: ArrayBuffer;
		/** @returns the pages before */
		grow(pages: number): number;
	}
	var Memory: { prototype: Memory; new (descriptor: MemoryDescriptor): Memory };
	interface Table {
		readonly length: number;
		get(index: number): ExportValue;
		grow(by: number, value?: ExportValue): number;
		set(index: number, value?: ExportValue): void;
	}
	var Table: { prototype: Table; new (descriptor: TableDescriptor, value?: ExportValue): Table };
	interface Global {
		value: ExportValue;
		valueOf(): ExportValue;
	}
	var Global: { prototype: Global; new (descriptor: GlobalDescriptor, value?: ExportValue): Global };

	interface CompileError extends Error {}
	var CompileError: { prototype: CompileError; new (message?: string): CompileError };
	interface LinkError extends Error {}
	var LinkError: { prototype: LinkError; new (message?: string): LinkError };
	interface RuntimeError extends Error {}
	var RuntimeError: { prototype: RuntimeError; new (message?: string): RuntimeError };

	function compile(bytes: Bytes): Promise<Module>;
	function compileStreaming(source: Response | PromiseLike<Response>): Promise<Module>;
	function instantiate(bytes: Bytes, imports?: Imports): Promise<WebAssemblyInstantiatedSource>;
	function instantiate(module: Module, imports?: Imports): Promise<Instance>;
	function instantiateStreaming(
		source: Response | PromiseLike<Response>,
		imports?: Imports,
	): Promise<WebAssemblyInstantiatedSource>;
	function validate(bytes: Bytes): boolean;
}
