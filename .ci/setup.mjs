// Makes a fresh checkout ready: system packages, npm packages, the native engine, the compiled TypeScript. Each part is
// skipped when nothing it depends on has changed. As root on Debian it installs what is missing and says so; otherwise it
// prints the command. `--build` does the last two parts only, in an installed package, which comes compiled, the engine.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const oldestNode = [20, 19];

/** Debian packages, and how to see that each is there. */
const systemPackages = [
	{ name: "cmake", required: true, isThere: () => runs("cmake") },
	{ name: "g++", required: true, isThere: () => runs(process.env.CXX ?? "g++") },
	{ name: "make", required: true, isThere: () => runs("make") },
	{ name: "libdnnl-dev", required: false, isThere: () => hasHeader("dnnl.hpp", "oneapi/dnnl/dnnl.hpp") },
];

function main() {
	process.chdir(root);
	checkNode();
	const started = performance.now();
	const buildOnly = process.argv.includes("--build");
	const parts = buildOnly ? [buildNative, compile] : [installSystemPackages, installNpmPackages, buildNative, compile];
	for (const part of parts) part();
	say(`ready in ${seconds(started)}`);
}

function checkNode() {
	const [major, minor] = process.versions.node.split(".").map(Number);
	if (major > oldestNode[0] || (major === oldestNode[0] && minor >= oldestNode[1])) return;
	fail(`Expected Node.js ${oldestNode.join(".")} or newer but this is ${process.versions.node} (https://nodejs.org)`);
}

function installSystemPackages() {
	const missing = systemPackages.filter(({ isThere }) => !isThere());
	if (missing.length === 0) return;
	const names = missing.map(({ name }) => name).join(" ");
	const isDebian = runs("apt-get");
	if (isDebian && process.getuid?.() === 0) {
		const started = performance.now();
		say(`installing the Debian packages ${names} (apt-get, as root)`);
		const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
		const apt = (...args) => spawnSync("apt-get", args, { stdio: ["ignore", "ignore", "inherit"], env });
		apt("update", "-qq");
		apt("install", "-y", "-qq", "--no-install-recommends", ...missing.map(({ name }) => name));
		say(`system packages: ${seconds(started)}`);
	}
	const still = missing.filter(({ isThere }) => !isThere());
	const command = `sudo apt-get install ${still.map(({ name }) => name).join(" ")}`;
	if (still.some(({ required }) => required))
		fail(`Missing: ${still.map(({ name }) => name).join(", ")}. Install them: ${command}`);
	if (still.length > 0) say(`without libdnnl-dev large matrices multiply more slowly; to have it: ${command}`);
}

function installNpmPackages() {
	const stamp = join("node_modules", ".octavo-installed");
	const wanted = hash("package.json", "package-lock.json") + process.versions.modules;
	if (readStamp(stamp) === wanted) return;
	const started = performance.now();
	say("npm install");
	// No package here needs its install script: zeromq and esbuild bring their binaries. Not `npm ci`: it refuses a lock
	// file without the optional binaries of other systems, which not every registry mirror has.
	const args = [
		"install",
		"--no-save",
		"--include=dev",
		"--ignore-scripts",
		"--no-audit",
		"--no-fund",
		"--loglevel=error",
	];
	const npm = process.env.npm_execpath;
	run(npm?.endsWith(".js") ? [process.execPath, npm, ...args] : ["npm", ...args], "npm install failed");
	writeFileSync(stamp, wanted);
	say(`npm packages: ${seconds(started)}`);
}

function buildNative() {
	const stamp = join("native", "build", ".octavo-built");
	const wanted = fingerprint(["native", "test/native"], /\.(txt|cmake|mjs|h|cpp|cu|cuh)$/);
	if (readStamp(stamp) === wanted && existsSync(join("native", "build", "octavo.node"))) return;
	const started = performance.now();
	say("building the native engine");
	run([process.execPath, join("native", "build.mjs")], "the native build failed");
	mkdirSync(dirname(stamp), { recursive: true });
	writeFileSync(stamp, wanted);
	say(`native engine: ${seconds(started)}`);
}

function compile() {
	if (!existsSync("tsconfig.json")) return;
	const stamp = join("dist", ".octavo-compiled");
	const wanted =
		fingerprint(["kernel", "sdk", "native", "test", "bench"], /\.ts$/) + hash("tsconfig.json", "package-lock.json");
	if (readStamp(stamp) === wanted) return;
	const started = performance.now();
	say("compiling TypeScript");
	rmSync(stamp, { force: true });
	run([process.execPath, join("node_modules", "typescript", "bin", "tsc"), "-p", "."], "TypeScript did not compile");
	removeOrphans("dist");
	run([process.execPath, join("kernel", "cell", "build-compiler.mjs")], "the compiler of cells was not minified");
	run([process.execPath, join("kernel", "display", "build-plotly.mjs")], "plotly.js was not minified");
	writeFileSync(stamp, wanted);
	say(`TypeScript: ${seconds(started)}`);
}

/** Removes compiled files whose source is gone: a deleted test must not run on. */
function removeOrphans(folder) {
	for (const entry of readdirSync(folder, { withFileTypes: true })) {
		const path = join(folder, entry.name);
		if (entry.isDirectory()) removeOrphans(path);
		const source = /^(.*)\.(?:d\.ts|js|js\.map)$/.exec(relative("dist", path))?.[1];
		if (source !== undefined && !existsSync(`${source}.ts`)) rmSync(path);
	}
}

/** A text that changes when a file is added, removed or written. */
function fingerprint(folders, pattern) {
	const lines = [];
	const visit = (folder) => {
		for (const entry of readdirSync(folder, { withFileTypes: true })) {
			const path = join(folder, entry.name);
			if (entry.isDirectory() && !/^build(-|$)/.test(entry.name)) visit(path);
			else if (entry.isFile() && pattern.test(entry.name)) {
				const { size, mtimeMs } = statSync(path);
				lines.push(`${path} ${size} ${mtimeMs}`);
			}
		}
	};
	for (const folder of folders) if (existsSync(folder)) visit(folder);
	return createHash("sha256").update(lines.sort().join("\n")).digest("hex");
}

function hash(...files) {
	const sum = createHash("sha256");
	for (const file of files) sum.update(readFileSync(file));
	return sum.digest("hex");
}

function readStamp(file) {
	return existsSync(file) ? readFileSync(file, "utf8") : undefined;
}

function runs(program) {
	return !spawnSync(program, ["--version"], { stdio: "ignore" }).error;
}

function hasHeader(...names) {
	const folders = ["/usr/include", "/usr/local/include", ...(process.env.CPATH ?? "").split(":").filter(Boolean)];
	return folders.some((folder) => names.some((name) => existsSync(join(folder, name))));
}

function run([program, ...args], complaint) {
	const { status } = spawnSync(program, args, { stdio: "inherit" });
	if (status !== 0) fail(complaint);
}

function seconds(started) {
	return `${((performance.now() - started) / 1000).toFixed(1)} s`;
}

function say(text) {
	console.log(`setup: ${text}`);
}

function fail(text) {
	console.error(`setup: ${text}`);
	process.exit(1);
}

main();
