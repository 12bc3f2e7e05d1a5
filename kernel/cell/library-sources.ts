// Libraries as a snapshot holds them: parsed, without their text, which is read once something asks for it. Checking a
// cell does not; documentation, and errors that show another file's line, do.

import type TypeScript from "typescript";

type SourceFile = TypeScript.SourceFile;

/**
 * Gives the libraries of a snapshot that can be used.
 *
 * @param ownTypes folder of octavo's own declarations, which are those of its last build: the snapshot may be older
 * @param read gives a file's text
 */
export function* librarySources(
	sources: ReadonlyMap<string, SourceFile>,
	ownTypes: string,
	read: (path: string) => string | undefined,
): Generator<[name: string, file: SourceFile]> {
	for (const [name, file] of sources) {
		if (!name.startsWith(ownTypes)) readLater(file, () => read(name) ?? "");
		else if (read(name) !== file.text) continue;
		yield [name, file];
	}
}

function readLater(file: SourceFile, read: () => string): void {
	const keep = (value: string) => Object.defineProperty(file, "text", { value, writable: true, enumerable: true });
	Object.defineProperty(file, "text", {
		configurable: true,
		enumerable: true,
		get: () => keep(read()).text,
		set: keep,
	});
}
