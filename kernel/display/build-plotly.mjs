// Writes dist/kernel/display/plotly.js.gz: plotly.js-dist, minified and compressed, 1.5 MB in place of 10. Part of the
// build, because minifying in the kernel would hold up a notebook's first figure by a second.

import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { transformSync } from "esbuild";

const source = createRequire(import.meta.url).resolve("plotly.js-dist/plotly.js");
const target = fileURLToPath(new URL("../../dist/kernel/display/plotly.js.gz", import.meta.url));

if (!existsSync(target) || statSync(target).mtimeMs < statSync(source).mtimeMs) {
	const { code } = transformSync(readFileSync(source, "utf8"), { minify: true, legalComments: "eof" });
	mkdirSync(fileURLToPath(new URL(".", `file://${target}`)), { recursive: true });
	writeFileSync(`${target}.new`, gzipSync(code, { level: 9 }));
	renameSync(`${target}.new`, target);
}
