// Builds the engine and its tests with sanitizers, in a folder of its own, and runs them: AddressSanitizer (with leaks)
// and UndefinedBehaviorSanitizer, or with `--thread` ThreadSanitizer. Other arguments go to ctest (`-R session`). oneDNN is
// left out of the thread build: its OpenMP is not instrumented, so its barriers would be taken for races; the kernel's
// module of shared memory too: it runs inside Node, which is not instrumented either.
import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const thread = process.argv.includes("--thread");
const passedOn = process.argv.slice(2).filter((arg) => arg !== "--thread");
const numJobs = String(Math.max(1, Math.min(4, availableParallelism())));
const buildFolder = join(root, "native", thread ? "build-tsan" : "build-asan");
const sanitizers = thread ? "-fsanitize=thread" : "-fsanitize=address,undefined -fno-sanitize-recover=all";

function run(program, args) {
	const { status, error } = spawnSync(program, args, {
		stdio: "inherit",
		env: {
			...process.env,
			TSAN_OPTIONS: process.env.TSAN_OPTIONS ?? "halt_on_error=1",
			UBSAN_OPTIONS: process.env.UBSAN_OPTIONS ?? "print_stacktrace=1",
		},
	});
	if (error) console.error(`sanitizers: ${program} cannot be run (${error.message}); npm run setup names the packages`);
	return status ?? 1;
}

const commands = [
	[
		"cmake",
		["-S", join(root, "native"), "-B", buildFolder, "-DCMAKE_BUILD_TYPE=None", "-DOCTAVO_WITH_ADDON=OFF"].concat(
			`-DCMAKE_CXX_FLAGS=-O1 -g1 -fno-omit-frame-pointer ${sanitizers}`,
			`-DOCTAVO_WITH_ONEDNN=${thread ? "OFF" : "ON"}`,
			`-DOCTAVO_WITH_LANE=${thread ? "OFF" : "ON"}`,
		),
	],
	["cmake", ["--build", buildFolder, "-j", numJobs]],
	["ctest", ["--test-dir", buildFolder, "--output-on-failure", "-j", numJobs, ...passedOn]],
];
for (const [program, args] of commands) {
	process.exitCode = run(program, args);
	if (process.exitCode !== 0) break;
}
