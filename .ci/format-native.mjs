// Runs clang-format over the engine's C++ and CUDA sources and its tests; `--check` only reports. Skips, and says so,
// where clang-format is not installed.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const check = process.argv.includes("--check");

function sources(folder) {
	return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
		const path = join(folder, entry.name);
		if (entry.isDirectory()) return entry.name.startsWith("build") ? [] : sources(path);
		return /\.(h|cpp|cu|cuh)$/.test(entry.name) ? [path] : [];
	});
}

if (spawnSync("clang-format", ["--version"], { stdio: "ignore" }).error) {
	console.log("format-native: skipped, clang-format was not found (Debian package clang-format)");
} else {
	const files = [...sources(join(root, "native")), ...sources(join(root, "test", "native"))];
	const args = check ? ["--dry-run", "--Werror", "--style=file"] : ["-i", "--style=file"];
	const { status } = spawnSync("clang-format", [...args, ...files], { stdio: "inherit", cwd: root });
	console.log(
		status === 0
			? `format-native: ${files.length} files ${check ? "are formatted" : "formatted"}`
			: "format-native: run `npm run format`",
	);
	process.exitCode = status ?? 1;
}
