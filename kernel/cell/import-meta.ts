// What `import.meta` is in a cell and in the files that it imports, which run as functions and have none of their own.

import { createRequire, isBuiltin } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { isFile } from "./local-modules.js";
import { packageRoot } from "./packages.js";

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
			return URL.canParse(specifier) ? specifier : pathToFileURL(packageFile(specifier, path)).href;
		},
	};
}

/** Where a package is, as an import finds it: beside the notebook, or among those that octavo came with. */
function packageFile(specifier: string, path: string): string {
	if (specifier === "octavo") return join(packageRoot, "dist", "sdk", "index.js");
	try {
		return createRequire(path).resolve(specifier);
	} catch (error) {
		try {
			return createRequire(join(packageRoot, "package.json")).resolve(specifier);
		} catch {
			throw error;
		}
	}
}
