// The kernels that can be started: this package's own, which needs no installation, and those that Jupyter's folders
// hold. A kernelspec that cannot be read is left out, as one broken kernel must not hide the others.

import { readdirSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { OctavoError } from "../../sdk/errors.js";
import { jupyterDataDir, type KernelSpec, kernelName, kernelSpec, logoFolder } from "../kernelspec.js";

/** A kernelspec and the folder with its logos. */
export interface FoundKernelSpec {
	name: string;
	spec: KernelSpec;
	folder: string;
	/** Names of the files beside kernel.json that a front end may ask for. */
	resources: string[];
}

/** Folders that hold kernelspecs, the one that wins first. */
function kernelSpecFolders(env: NodeJS.ProcessEnv = process.env): string[] {
	const data = [
		...(env.JUPYTER_PATH ?? "").split(delimiter).filter((folder) => folder !== ""),
		jupyterDataDir(env),
		...(env.VIRTUAL_ENV ? [join(env.VIRTUAL_ENV, "share", "jupyter")] : []),
		"/usr/local/share/jupyter",
		"/usr/share/jupyter",
	];
	return data.map((folder) => join(folder, "kernels"));
}

/** Finds every kernelspec; reads the folders anew each time, so that a new kernel appears without a restart. */
export function findKernelSpecs(env: NodeJS.ProcessEnv = process.env): Map<string, FoundKernelSpec> {
	const found = new Map<string, FoundKernelSpec>();
	found.set(kernelName, {
		name: kernelName,
		spec: kernelSpec(),
		folder: logoFolder,
		resources: resourcesOf(logoFolder),
	});
	for (const parent of kernelSpecFolders(env)) {
		for (const name of list(parent)) {
			const key = name.toLowerCase();
			if (!/^[a-z0-9._-]+$/.test(key) || found.has(key)) continue;
			const folder = join(parent, name);
			const spec = readSpec(join(folder, "kernel.json"));
			if (spec) found.set(key, { name: key, spec, folder, resources: resourcesOf(folder) });
		}
	}
	return found;
}

/**
 * Finds one kernelspec.
 *
 * @throws {OctavoError} ERR_OCTAVO_KERNEL_NAME listing the names there are
 */
export function findKernelSpec(name: string): FoundKernelSpec {
	const specs = findKernelSpecs();
	const spec = specs.get(name.toLowerCase());
	if (spec) return spec;
	throw new OctavoError(
		"ERR_OCTAVO_KERNEL_NAME",
		`Expected a kernel name of ${[...specs.keys()].join(", ")} but received ${JSON.stringify(name)}`,
	);
}

function list(folder: string): string[] {
	try {
		return readdirSync(folder).sort();
	} catch {
		return [];
	}
}

function resourcesOf(folder: string): string[] {
	return list(folder).filter((name) => /^(logo-[\w.-]+|kernel\.(js|css))$/.test(name));
}

function readSpec(path: string): KernelSpec | undefined {
	try {
		const spec = JSON.parse(readFileSync(path, "utf8")) as Partial<KernelSpec> | null;
		if (!spec || !Array.isArray(spec.argv) || spec.argv.some((word) => typeof word !== "string")) return undefined;
		return {
			argv: spec.argv,
			display_name: String(spec.display_name ?? spec.argv[0]),
			language: String(spec.language ?? ""),
			interrupt_mode: spec.interrupt_mode === "message" ? "message" : "signal",
			metadata: spec.metadata ?? {},
			env: Object.fromEntries(Object.entries(spec.env ?? {}).map(([name, value]) => [name, String(value)])),
		};
	} catch {
		return undefined;
	}
}
