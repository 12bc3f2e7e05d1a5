// Configures and builds the engine and the addon into native/build. Incremental: a second run takes about a second.
// `--cuda` compiles the CUDA sources (needs nvcc), `--clean` starts anew; other arguments go to CMake.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const sourceFolder = fileURLToPath(new URL(".", import.meta.url));
const buildFolder = join(sourceFolder, "build");

/** Programs the build calls, and the Debian package that has each. */
const tools = [
	{ program: "cmake", debianPackage: "cmake" },
	{ program: process.env.CXX ?? "g++", debianPackage: "g++" },
	{ program: "make", debianPackage: "make" },
];

function missingTools() {
	return tools.filter(({ program }) => spawnSync(program, ["--version"], { stdio: "ignore" }).error);
}

/** The folder that npm put the addon's headers in: the checkout's own, or the one that an installed package shares. */
function headersFolder() {
	const { resolve } = createRequire(import.meta.url);
	return dirname(dirname(resolve("node-addon-api/package.json")));
}

/** Runs a command, passing on the lines that tell of progress or trouble; gives its exit status and whole output. */
function run(command, args, showLine) {
	return new Promise((resolve) => {
		const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
		let output = "";
		let partial = "";
		const take = (bytes) => {
			output += bytes;
			const lines = (partial + bytes).split("\n");
			partial = lines.pop() ?? "";
			for (const line of lines) if (showLine(line)) console.log(`  ${line}`);
		};
		child.stdout.setEncoding("utf8").on("data", take);
		child.stderr.setEncoding("utf8").on("data", take);
		child.on("error", (error) => resolve({ status: 1, output: String(error) }));
		child.on("close", (status) => resolve({ status: status ?? 1, output }));
	});
}

async function main() {
	const args = process.argv.slice(2);
	const missing = missingTools();
	if (missing.length > 0) {
		for (const { program, debianPackage } of missing)
			console.error(`native: ${program} was not found (Debian package ${debianPackage})`);
		console.error(`native: sudo apt-get install ${missing.map((tool) => tool.debianPackage).join(" ")}`);
		return 1;
	}
	if (args.includes("--clean")) rmSync(buildFolder, { recursive: true, force: true });
	const passedOn = args.filter((arg) => arg !== "--clean" && arg !== "--cuda");

	const started = performance.now();
	const fresh = !existsSync(join(buildFolder, "CMakeCache.txt"));
	const configured = await run(
		"cmake",
		[
			"-S",
			sourceFolder,
			"-B",
			buildFolder,
			`-DOCTAVO_NODE_MODULES=${headersFolder()}`,
			`-DOCTAVO_WITH_CUDA=${args.includes("--cuda") ? "ON" : "OFF"}`,
			...passedOn,
		],
		(line) => fresh && /^-- (GEMM|CUDA|Addon)/.test(line),
	);
	if (configured.status !== 0) {
		console.error(configured.output);
		console.error("native: configuration failed");
		return configured.status;
	}
	const threads = String(Math.min(availableParallelism(), 16));
	const built = await run(
		"cmake",
		["--build", buildFolder, "-j", threads],
		(line) => /^\[ *\d+%\] (Building|Linking)/.test(line) || /(warning|error):/.test(line),
	);
	if (built.status !== 0) {
		console.error(built.output);
		console.error("native: build failed");
		return built.status;
	}
	console.log(`native: built in ${((performance.now() - started) / 1000).toFixed(1)} s`);
	return 0;
}

process.exitCode = await main();
