// Finds the packages that a cell imports: first where the notebook lies, then among those that octavo came with. For the
// type checker the latter appear below the notebook's own node_modules (a view of paths, nothing is written), so that
// the types it derives keep a name such as "apache-arrow" instead of a path of this installation.

import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

/** Folder of the octavo package: the nearest one above this file with octavo's package.json. */
export const packageRoot = findPackageRoot();

const requireHere = createRequire(join(packageRoot, "package.json"));

/** Manifest of the types of Node.js that cells see: those of the oldest version that they run on. */
export const nodeTypesPath = requireHere.resolve("@types/node/package.json");

/** File of the compiler of cells. */
export const typescriptPath = requireHere.resolve("typescript");

/** Version of the compiler of cells. */
export const typescriptVersion: string = JSON.parse(
	readFileSync(join(dirname(typescriptPath), "..", "package.json"), "utf8"),
).version;

const minifiedPath = join(packageRoot, "dist", "kernel", "cell", `typescript-${typescriptVersion}.cjs`);

/** File with the text of which snapshots are made: the compiler as build-compiler.mjs left it, where that is as new. */
export const snapshotSourcePath = existsSync(minifiedPath) ? minifiedPath : typescriptPath;

/** File of the older compiler that tslab asks for, and is given ours instead. */
export const tslabTypescriptPath = createRequire(requireHere.resolve("tslab")).resolve("@tslab/typescript-for-tslab");

function findPackageRoot(): string {
	let folder = dirname(fileURLToPath(import.meta.url));
	while (!isOctavo(join(folder, "package.json"))) {
		const parent = dirname(folder);
		if (parent === folder) throw new Error(`Expected octavo's package.json above ${fileURLToPath(import.meta.url)}`);
		folder = parent;
	}
	return folder;
}

function isOctavo(path: string): boolean {
	return existsSync(path) && JSON.parse(readFileSync(path, "utf8")).name === "octavo";
}

/** Gives a folder and all folders above it, nearest first. */
function* ancestors(folder: string): Generator<string> {
	for (let at = folder; ; at = dirname(at)) {
		yield at;
		if (dirname(at) === at) return;
	}
}

/** Shows octavo and the packages that it came with below a notebook's `node_modules`, for reading only. */
export class PackageView {
	readonly #folder: string;
	readonly #known = new Map<string, string | undefined>();

	/** @param folder the notebook's folder */
	constructor(folder: string) {
		this.#folder = join(folder, "node_modules");
	}

	/** Gives the real path behind a path of the view; any other path comes back unchanged. */
	real(path: string): string {
		if (!path.startsWith(this.#folder)) return path;
		const rest = relative(this.#folder, path);
		if (rest === "") return existsSync(path) ? path : join(packageRoot, "node_modules");
		const parts = rest.split("/");
		const name = parts.slice(0, parts[0]!.startsWith("@") ? 2 : 1).join("/");
		// Octavo's own packages are shown beside it, never inside it: a type found there could not be named.
		if (name === "octavo" && parts[1] === "node_modules") return join(this.#folder, ".none", rest);
		const home = this.#home(name);
		return home === undefined ? path : join(home, rest.slice(name.length));
	}

	/** Folder of a package that the notebook itself cannot see; undefined when it can, or when nobody has it. */
	#home(name: string): string | undefined {
		if (!this.#known.has(name)) this.#known.set(name, this.#find(name));
		return this.#known.get(name);
	}

	#find(name: string): string | undefined {
		if (name === "octavo") return packageRoot;
		for (const folder of ancestors(dirname(this.#folder))) {
			if (existsSync(join(folder, "node_modules", name))) return undefined;
		}
		for (const folder of ancestors(packageRoot)) {
			const home = join(folder, "node_modules", name);
			if (existsSync(home)) return home;
		}
		return undefined;
	}

	/** Forgets what was not found, so that a package installed meanwhile is seen. */
	refresh(): void {
		for (const [name, home] of this.#known) if (name !== "octavo" && home === undefined) this.#known.delete(name);
	}
}
