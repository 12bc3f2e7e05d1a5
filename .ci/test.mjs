// Runs every test: the engine's own with ctest, then the compiled node:test files. Goes on to the second when the first
// fails, so that one run tells everything. Arguments choose files by part of their name: `npm test -- server`.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const chosen = process.argv.slice(2);
const numJobs = String(Math.max(1, Math.min(4, availableParallelism())));
/** A file that hangs is told by its name; the slowest takes minutes where the machine has much else to do. */
const timeout = "--test-timeout=1200000";
const failed = [];

function testFiles(folder) {
	return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
		const path = join(folder, entry.name);
		if (entry.isDirectory()) return testFiles(path);
		const isChosen = chosen.length === 0 || chosen.some((part) => basename(path).includes(part));
		return path.endsWith(".test.js") && isChosen ? [path] : [];
	});
}

function run(name, program, args) {
	const started = performance.now();
	console.log(`\n${name}`);
	const { status } = spawnSync(program, args, { stdio: "inherit" });
	const outcome = status === 0 ? "passed" : "FAILED";
	if (status !== 0) failed.push(name);
	return `${name}: ${outcome} in ${((performance.now() - started) / 1000).toFixed(1)} s`;
}

const lines = [];
const nativeBuild = join("native", "build");
if (chosen.length === 0 && existsSync(join(nativeBuild, "CTestTestfile.cmake"))) {
	lines.push(run("engine tests (ctest)", "ctest", ["--test-dir", nativeBuild, "--output-on-failure", "-j", numJobs]));
}
const files = testFiles(join("dist", "test"));
if (files.length > 0) {
	const args = ["--test", `--test-concurrency=${numJobs}`, timeout, "--test-reporter=spec", ...files];
	lines.push(run(`${files.length} test files (node:test)`, process.execPath, args));
} else {
	console.error(`No test file has ${chosen.join(" or ")} in its name`);
	failed.push("no test");
}
console.log(`\n${lines.join("\n")}`);
process.exitCode = failed.length === 0 ? 0 : 1;
