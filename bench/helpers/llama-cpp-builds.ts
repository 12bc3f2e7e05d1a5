// llama.cpp in the two builds that a user of Node.js can have without trouble: the prebuilt library of the npm package
// node-llama-cpp, and llama-bench compiled for this machine from the source that the package carries. Both go into a cache
// folder outside the repository; a second run finds them there.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runMeasured } from "./measured-child.js";

/** Where the two builds lie. */
export interface LlamaCppBuilds {
	/** Folder of the npm package node-llama-cpp. */
	packageFolder: string;
	/** Version of that package, and the llama.cpp release that it carries. */
	version: string;
	/** The llama-bench program. */
	llamaBench: string;
}

/**
 * Installs and builds what the folder does not have yet; minutes the first time.
 *
 * @param cache folder for both builds, made if absent
 * @throws an Error naming the command that failed
 */
export async function prepareLlamaCpp(cache: string, say: (text: string) => void): Promise<LlamaCppBuilds> {
	const packageFolder = join(cache, "node_modules", "node-llama-cpp");
	mkdirSync(cache, { recursive: true });
	if (!existsSync(join(packageFolder, "package.json"))) {
		say("installing node-llama-cpp");
		writeFileSync(join(cache, "package.json"), `${JSON.stringify({ private: true })}\n`);
		const packages = ["node-llama-cpp@3", "@node-llama-cpp/linux-x64@3"];
		await runMeasured("npm", ["install", ...packages, "--omit=optional", "--ignore-scripts", "--no-audit"], cache);
	}
	const source = join(cache, "llama.cpp");
	const build = join(cache, "llama.cpp-build");
	const llamaBench = join(build, "bin", "llama-bench");
	if (!existsSync(llamaBench)) {
		if (!existsSync(join(source, "CMakeLists.txt"))) {
			await runMeasured("git", ["clone", "--quiet", join(packageFolder, "llama", "gitRelease.bundle"), source]);
		}
		say("building llama-bench");
		const off = ["LLAMA_CURL", "LLAMA_OPENSSL", "LLAMA_BUILD_TESTS", "LLAMA_BUILD_EXAMPLES", "LLAMA_BUILD_SERVER"];
		const options = ["CMAKE_BUILD_TYPE=Release", "GGML_NATIVE=ON", ...off.map((name) => `${name}=OFF`)];
		await runMeasured("cmake", ["-S", source, "-B", build, ...options.map((option) => `-D${option}`)]);
		await runMeasured("cmake", ["--build", build, "--target", "llama-bench", "-j", "2"]);
	}
	const read = (path: string) => JSON.parse(readFileSync(join(packageFolder, path), "utf8")) as Record<string, string>;
	const version = `node-llama-cpp ${read("package.json").version}, llama.cpp ${read("llama/llama.cpp.info.json").tag}`;
	return { packageFolder, version, llamaBench };
}
