// From a path of the REST interface to a file below the root, and never to one outside: neither by `..`, nor through a
// symbolic link. Hidden files (.ssh, .git) do not exist here, as in Jupyter.

import { realpath } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { HttpError } from "./errors.js";

/** Maps paths into one folder. */
export class ContentsRoot {
	/** The folder, with symbolic links resolved. */
	readonly folder: string;

	/** @param folder an existing folder, links resolved */
	constructor(folder: string) {
		this.folder = folder;
	}

	/**
	 * Gives the path as clients write it: no slash at either end, no empty parts.
	 *
	 * @throws {HttpError} 403 for `..`, a backslash or a NUL; 404 for a hidden name
	 */
	normalize(path: string): string {
		const parts = path.split("/").filter((part) => part !== "" && part !== ".");
		for (const part of parts) {
			if (part === ".." || /[\\\0]/.test(part)) {
				throw new HttpError(
					403,
					"ERR_OCTAVO_CONTENTS_PATH",
					`Expected a path below the root but received ${JSON.stringify(path)}`,
				);
			}
			if (part.startsWith(".")) throw missing(path);
		}
		return parts.join("/");
	}

	/**
	 * Gives the real file of a path; it need not exist yet, but its folder must.
	 *
	 * @throws {HttpError} 403 when a link leads out of the root; 404 when its folder does not exist
	 */
	async resolve(path: string): Promise<string> {
		try {
			return this.#inside(path, await realpath(join(this.folder, this.normalize(path))));
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
			return await this.resolveName(path);
		}
	}

	/**
	 * Gives the name itself in its real folder, where `resolve` would follow a link: for moving, removing and new files.
	 *
	 * @throws {HttpError} as `resolve`
	 */
	async resolveName(path: string): Promise<string> {
		const wanted = join(this.folder, this.normalize(path));
		if (wanted === this.folder) return wanted;
		const parent = await realpath(dirname(wanted)).catch(() => {
			throw missing(path);
		});
		return this.#inside(path, join(parent, basename(wanted)));
	}

	#inside(path: string, real: string): string {
		const inside = relative(this.folder, real);
		if (inside === ".." || inside.startsWith(`..${sep}`)) {
			throw new HttpError(
				403,
				"ERR_OCTAVO_CONTENTS_PATH",
				`Expected a path below the root but ${JSON.stringify(path)} leads out of it`,
			);
		}
		return real;
	}
}

/** The answer for a file that is not there. */
export function missing(path: string): HttpError {
	return new HttpError(404, "ERR_OCTAVO_CONTENTS_MISSING", `No such file or folder: ${JSON.stringify(path)}`);
}
