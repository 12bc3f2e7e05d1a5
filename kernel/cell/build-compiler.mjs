// Writes dist/kernel/cell/typescript-VERSION.cjs: TypeScript, minified. A worker's snapshot is made of it, since V8 keeps a
// compiler's text three times then: in the snapshot, and in each of the worker's two threads. 3.6 MB in place of 9.

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { transformSync } from "esbuild";

const require = createRequire(import.meta.url);
const folder = fileURLToPath(new URL("../../dist/kernel/cell", import.meta.url));
const name = `typescript-${require("typescript/package.json").version}.cjs`;
const target = join(folder, name);

mkdirSync(folder, { recursive: true });
for (const other of readdirSync(folder)) {
	if (/^typescript-.*\.cjs/.test(other) && other !== name) rmSync(join(folder, other), { force: true });
}
if (!existsSync(target)) {
	const source = readFileSync(require.resolve("typescript"), "utf8");
	const { code } = transformSync(source, { minify: true, charset: "ascii", legalComments: "inline" });
	writeFileSync(`${target}.new`, code);
	renameSync(`${target}.new`, target);
}
