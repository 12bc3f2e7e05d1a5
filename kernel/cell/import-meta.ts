// What `import.meta` is in a cell and in the files that it imports, which run as functions and have none of their own.

import { createRequire, isBuiltin } from "node:module";
import { dirname } from "node:path";
import { pathToFileURL } from "node:url";
import { isFile } from "./local-modules.js";

/** Gives the `import.meta` of a file. A cell's file has the notebook's folder, and is not there. */
export function importMeta(path: string) {
	const url = pathToFileURL(path).href;
	return {
		url,
		filename: path,
		dirname: dirname(path),
		resolve(specifier: string): string {
			if (isFile(specifier)) return new URL(specifier, url).href;
			if (isBuiltin(specifier)) return specifier.startsWith("node:") ? specifier : `node:${specifier}`;
			return URL.canParse(specifier) ? specifier : pathToFileURL(createRequire(path).resolve(specifier)).href;
		},
	};
}
