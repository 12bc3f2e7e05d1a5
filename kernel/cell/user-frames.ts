// Frames of the user's own files that run as they are, such as `.mjs` and `.cjs` beside the notebook: they are named in
// tracebacks, while those of Node.js, of packages and of the kernel are folded.

import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { packageRoot } from "./packages.js";

const framePattern = /^\s+at (?:async )?(?:.*? \()?(.+?):(\d+):(\d+)\)?$/;
const ownFolders = ["dist", "kernel", "native", "sdk"].map((name) => join(packageRoot, name, "/"));

/** Place of a frame in a file of the user's; undefined for any other. @param folder from which the file is named */
export function userFrame(frameLine: string, folder: string): string | undefined {
	const [, file = "", line, column] = framePattern.exec(frameLine) ?? [];
	const path = file.startsWith("file://") ? pathOf(file) : file;
	if (!path?.startsWith("/") || path.includes("/node_modules/")) return undefined;
	if (ownFolders.some((own) => path.startsWith(own))) return undefined;
	return `${relative(folder, path)}:${line}:${column}`;
}

function pathOf(url: string): string | undefined {
	try {
		return fileURLToPath(url.replace(/[?#].*$/, ""));
	} catch {
		return undefined;
	}
}
