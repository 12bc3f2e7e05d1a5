// Loads what cells import. A real import() comes first, so that a cell and octavo's own code share one copy of a package
// that has both module kinds; CommonJS packages are then taken through require, which gives all of their names.

import { statSync } from "node:fs";
import { createRequire, isBuiltin } from "node:module";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { constants, Script } from "node:vm";
import { OctavoError } from "../../sdk/errors.js";
import { isFile, type LocalModule, LocalModules } from "./local-modules.js";
import { packageRoot } from "./packages.js";

/** Longest wait for a package that is loaded again after an interrupt, in milliseconds. */
const againMs = 5000;

/** A module's exports, of whichever kind. */
export type Module = object;

/** Imports on behalf of cells in one folder. */
export class Imports {
	readonly #folder: string;
	readonly #require: NodeJS.Require;
	readonly #tslabRequire: (id: string) => Module;
	readonly #modules = new LocalModules(
		(specifier) => this.require(specifier),
		async (path) => asLegacy(await this.import(path)),
	);
	readonly #importHere: (specifier: string, options?: ImportCallOptions) => Promise<Module>;
	/** When files had been changed, by path, at their first and their last import. */
	readonly #changedAt = new Map<string, { first: number; last: number }>();
	readonly #loaded = new Map<string, Module>();
	/** Packages that are being loaded; those whose load an interrupt ended stay. */
	readonly #loading = new Set<string>();
	readonly #ended = new Set<string>();
	/** Packages that have been loaded a second time. */
	readonly #again = new Map<string, Module>();
	#loadsAgain = 0;

	/**
	 * @param folder the notebook's folder
	 * @param tslabRequire tslab's own require
	 */
	constructor(folder: string, tslabRequire: (id: string) => Module) {
		this.#folder = folder;
		this.#tslabRequire = tslabRequire;
		this.#require = createRequire(join(folder, "cell.js"));
		this.#importHere = new Script("(specifier, options) => import(specifier, options)", {
			filename: join(folder, "cell.js"),
			importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
		}).runInThisContext();
	}

	/** Takes the latest form of a source file. */
	addLocal(module: LocalModule): void {
		this.#modules.add(module);
	}

	/** Says that an interrupt has ended a cell, and with it what it was loading. */
	interrupted(): void {
		for (const specifier of this.#loading) this.#ended.add(specifier);
	}

	/** Loads the packages that a cell imports statically, and runs what awaits of the files, before the cell runs. */
	async preload(specifiers: readonly string[]): Promise<void> {
		for (const specifier of specifiers) {
			if (isBuiltin(specifier) || isFile(specifier) || specifier === "tslab") continue;
			this.#loaded.set(specifier, await this.#package(specifier, true));
		}
		for (const specifier of specifiers) if (isFile(specifier)) await this.#modules.prepare(specifier, this.#folder);
	}

	/** The `require` that converted cells call for their static imports. */
	require(specifier: string): Module {
		const loaded = isFile(specifier) ? this.#modules.require(specifier, this.#folder) : this.#loaded.get(specifier);
		if (loaded) return loaded;
		if (isFile(specifier) && /\.(?:json|cjs)$/.test(specifier))
			return this.#requireFile(resolve(this.#folder, specifier));
		try {
			return this.#tslabRequire(specifier);
		} catch (error) {
			if (isFile(specifier) || (error as NodeJS.ErrnoException).code !== "MODULE_NOT_FOUND") throw error;
			return createRequire(join(packageRoot, "package.json"))(specifier);
		}
	}

	/**
	 * The `import()` that converted cells call.
	 *
	 * @param path file in which it is written; default: a cell
	 * @param options attributes, such as the type of what is imported
	 */
	async import(specifier: unknown, path?: string, options?: ImportCallOptions): Promise<Module> {
		const folder = path === undefined ? this.#folder : dirname(path);
		const text = String(specifier);
		if (isBuiltin(text) || /^(?:file|data|node):/.test(text)) return this.#importHere(text, options);
		if (!isFile(text)) return this.#package(text, false, options);
		const file = resolve(folder, text);
		if (text.endsWith(".json")) return namespaceOf(this.#requireFile(file));
		if (/\.m?js$|\.cjs$/.test(text)) {
			return this.#importHere(pathToFileURL(file).href + this.#look(file).query, options);
		}
		await this.#modules.prepare(text, folder);
		const exports = this.#modules.require(text, folder) ?? this.#tslabRequire(resolve(folder, text));
		return (exports as { __esModule?: boolean }).__esModule ? exports : { ...exports, default: exports };
	}

	/** @param legacy give what CommonJS code generated from a static import expects: `__esModule` on ES modules */
	async #package(specifier: string, legacy: boolean, options?: ImportCallOptions): Promise<Module> {
		const module = await this.#importPackage(specifier, options);
		if (!legacy) return module;
		try {
			const path = this.#require.resolve(specifier);
			const cached = this.#require.cache[path];
			if (cached && (module as { default?: unknown }).default === cached.exports) return cached.exports;
		} catch {
			// An ES module that CommonJS cannot even resolve.
		}
		return asLegacy(module);
	}

	async #importPackage(specifier: string, options?: ImportCallOptions): Promise<Module> {
		if (specifier === "octavo") return import(pathToFileURL(join(packageRoot, "dist", "sdk", "index.js")).href);
		const again = this.#again.get(specifier);
		if (again) return again;
		if (this.#ended.has(specifier) && this.#loading.has(specifier)) return this.#importAgain(specifier);
		this.#loading.add(specifier);
		try {
			return await this.#importHere(specifier, options);
		} catch (error) {
			// What Node.js says of a CommonJS package whose first load was terminated.
			if (error === null) return await this.#importAgain(specifier);
			const { code, message } = error as NodeJS.ErrnoException;
			const missing = code === "ERR_MODULE_NOT_FOUND" && message.includes(`'${specifier.split("/")[0]}`);
			if (!missing) throw error;
			return await import(specifier).catch((own) => {
				// In the words of the notebook's folder.
				throw own.code === "ERR_MODULE_NOT_FOUND" ? error : own;
			});
		} finally {
			this.#loading.delete(specifier);
		}
	}

	/** Requires a JSON or CommonJS file, anew where it has changed. */
	#requireFile(path: string): Module {
		if (this.#look(path).isChanged) delete this.#require.cache[path];
		return this.#require(path);
	}

	/** Looks at a file: whether it has changed since the last look, and the query that makes an address of its form. */
	#look(path: string): { isChanged: boolean; query: string } {
		const { mtimeMs: now = 0 } = statSync(path, { throwIfNoEntry: false }) ?? {};
		const { first, last } = this.#changedAt.get(path) ?? { first: now, last: now };
		this.#changedAt.set(path, { first, last: now });
		return { isChanged: now !== last, query: now === first ? "" : `?changed=${now}` };
	}

	/**
	 * Loads a package whose first load was ended. Node.js keeps what came of it, which is nothing, so that the package gets
	 * another address; the ES modules that it imports keep theirs, and waits for ever for one of those that was ended.
	 */
	async #importAgain(specifier: string): Promise<Module> {
		const { cache } = this.#require;
		for (const path of Object.keys(cache)) if (!cache[path]?.loaded) delete cache[path];
		let timer: NodeJS.Timeout | undefined;
		const late = new Promise<never>((_, reject) => {
			timer = setTimeout(reject, againMs, null);
		});
		try {
			const { href } = pathToFileURL(this.#require.resolve(specifier));
			const module = await Promise.race([this.#importHere(`${href}?again=${++this.#loadsAgain}`), late]);
			this.#again.set(specifier, module);
			return module;
		} catch (error) {
			if (error !== null && (error as NodeJS.ErrnoException).code !== "ERR_PACKAGE_PATH_NOT_EXPORTED") throw error;
			throw new OctavoError("ERR_OCTAVO_IMPORT", halfLoaded(specifier));
		} finally {
			clearTimeout(timer);
		}
	}
}

/** An ES module as code that was compiled to CommonJS expects it. */
function asLegacy(module: Module): Module {
	return new Proxy(module, {
		get: (target, key) => (key === "__esModule" ? true : Reflect.get(target, key)),
	});
}

/** What a default import of a module means: its `default`, or a CommonJS module itself. */
export function defaultOf(module: Module): unknown {
	return (module as { __esModule?: boolean }).__esModule ? (module as { default?: unknown }).default : module;
}

/** What `import * as` of a module means. */
export function namespaceOf(module: Module): Module {
	if ((module as { __esModule?: boolean }).__esModule) return module;
	const namespace = Object.create(null) as Record<string, unknown>;
	const names = [...Object.keys(module), "default"];
	for (const name of names) {
		// Read when asked for: some properties of Node's modules warn when they are read.
		const get = () => (name === "default" ? module : (module as Record<string, unknown>)[name]);
		Object.defineProperty(namespace, name, { get, enumerable: true, configurable: true });
	}
	return namespace;
}

function halfLoaded(specifier: string): string {
	return `Expected ${specifier} to be loaded whole but an interrupt ended that; restart the kernel to import it`;
}
