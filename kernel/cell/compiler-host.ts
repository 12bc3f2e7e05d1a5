// The files and modules that the type checker sees: those of the system, and those of the packages that octavo came with
// as if they lay beside the notebook.

import { isBuiltin } from "node:module";
import { dirname, join } from "node:path";
import type TypeScript from "typescript";
import { type PackageView, packageRoot } from "./packages.js";

type Ts = typeof TypeScript;

/** Gives a file system in which the packages of {@link PackageView} exist. */
export function overlay(sys: TypeScript.System, view: PackageView): TypeScript.System {
	const seen = Object.create(sys) as TypeScript.System;
	const octavoManifest = join(packageRoot, "package.json");
	seen.readFile = (path, encoding) => {
		const real = view.real(path);
		const text = sys.readFile(real, encoding);
		if (real !== octavoManifest || real === path || text === undefined) return text;
		// Without its exports map, every module's type can be named in the declarations that a cell leaves.
		const { exports: _, ...manifest } = JSON.parse(text);
		return JSON.stringify(manifest);
	};
	seen.fileExists = (path) => sys.fileExists(view.real(path));
	seen.directoryExists = (path) => sys.directoryExists(view.real(path));
	seen.getDirectories = (path) => sys.getDirectories(view.real(path));
	seen.realpath = (path) => (view.real(path) === path ? (sys.realpath?.(path) ?? path) : path);
	return seen;
}

/** Resolves imports; results are kept for files of packages, never for the cell, where a package may appear any time. */
export function resolver(ts: Ts, host: TypeScript.ModuleResolutionHost, view: PackageView, folder: string) {
	const kept = new Map<string, TypeScript.ResolvedModuleWithFailedLookupLocations>();
	return (
		literals: readonly TypeScript.StringLiteralLike[],
		from: string,
		redirect: TypeScript.ResolvedProjectReference | undefined,
		options: TypeScript.CompilerOptions,
	) =>
		literals.map((literal) => {
			// Declared by @types/node itself; looking for files of these names costs 100 ms at the start.
			if (isBuiltin(literal.text)) return { resolvedModule: undefined, failedLookupLocations: [] };
			const fixed = view.real(from) !== from || from.includes("/node_modules/");
			const key = `${from.slice(0, from.lastIndexOf("/"))}\0${literal.text}`;
			let found = fixed ? kept.get(key) : undefined;
			if (!found) {
				found = ts.resolveModuleName(literal.text, from, options, host, undefined, redirect);
				// A file of octavo's packages asks for a package that only their real folder can see.
				if (!found.resolvedModule && fixed) {
					found = ts.resolveModuleName(literal.text, join(folder, "__octavo__.ts"), options, host, undefined, redirect);
				}
				if (fixed) kept.set(key, found);
			}
			return found;
		});
}

/** Gives what TypeScript asks for files by. */
export function compilerHost(
	ts: Ts,
	sys: TypeScript.System,
	options: TypeScript.CompilerOptions,
): TypeScript.CompilerHost {
	const library = ts.getDefaultLibFilePath(options);
	return {
		getSourceFile: () => undefined,
		getDefaultLibFileName: () => library,
		getDefaultLibLocation: () => dirname(library),
		writeFile() {},
		getCurrentDirectory: () => sys.getCurrentDirectory(),
		getCanonicalFileName: (name) => name,
		useCaseSensitiveFileNames: () => true,
		getNewLine: () => "\n",
		fileExists: (path) => sys.fileExists(path),
		readFile: (path) => sys.readFile(path),
		directoryExists: (path) => sys.directoryExists(path),
		getDirectories: (path) => sys.getDirectories(path),
		realpath: (path) => sys.realpath!(path),
		readDirectory: (...request) => sys.readDirectory(...request),
	};
}
