// Makes a folder with those above it, one by one: what Node's `recursive: true` does, which for a place that takes no new
// entries though it is there (/proc) tries again for ever, and so would never say so.

import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * @param path of a folder; nothing happens where it is there
 * @throws the file system's error for a path that cannot be made: a file in its way, no right to write
 */
export async function makeFolder(path: string): Promise<void> {
	if (await isFolder(path)) return;
	const above = dirname(path);
	if (above !== path) await makeFolder(above);
	try {
		await mkdir(path);
	} catch (error) {
		// Somebody else may have made it since.
		if (!(await isFolder(path))) throw error;
	}
}

async function isFolder(path: string): Promise<boolean> {
	try {
		return (await stat(path)).isDirectory();
	} catch {
		return false;
	}
}
