// Who may import whom, for TypeScript imports and C++ includes alike. The table below is the design's; a rule that no
// file could break would not show, so the checker itself is tested on made-up files.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** A file and what it imports: paths from the package root without an ending, or names of packages. */
interface Source {
	path: string;
	imports: string[];
}

interface Rule {
	/** Files it speaks of, by path. */
	files: RegExp;
	/** All that they may import. Absent: anything not forbidden. */
	may?: RegExp;
	mustNot?: RegExp;
}

const shared = "sdk/(errors|options|tensor|make-folder)$|native/addon$|node:";

const rules: Rule[] = [
	// A benchmark of the kernel speaks to it with the tests' client.
	{ files: /^bench\//, may: /^(octavo|node:.*|bench\/.*|test\/helpers\/.*)$/ },
	{ files: /^(sdk|native)\//, mustNot: /^(kernel|bench|test)\// },
	// The one thing of native that the kernel has is memory that its two processes share.
	{ files: /^kernel\//, mustNot: /^(native\/(?!lane$)|(test|bench)\/)|^apache-arrow$|^sdk\/(?!errors$|index$)/ },
	{ files: /^kernel\/(?!main\.ts|commands\/)/, mustNot: /^sdk\/index$/ },
	{ files: /^sdk\/chart\//, may: /^(sdk\/(chart|trace)\/|sdk\/(errors|options)$|node:)/ },
	{ files: /^sdk\/decode\//, may: new RegExp(`^(sdk/(decode|model|debug|trace)/|native/load$|${shared})`) },
	{ files: /^sdk\/train\//, may: new RegExp(`^(sdk/(train|hardware|model|debug|trace)/|native/load$|${shared})`) },
	{ files: /^sdk\/(train\/schedule|hardware)\//, mustNot: /^native\/|^sdk\/(decode|train\/session)/ },
	{ files: /^sdk\/model\//, may: new RegExp(`^(sdk/model/|@huggingface/|${shared})`) },
	{ files: /^sdk\/debug\//, may: new RegExp(`^(sdk/debug/|${shared})`) },
	{ files: /^sdk\/trace\//, may: new RegExp(`^(sdk/trace/|apache-arrow$|${shared})`) },
	// Each outside package has one owning folder.
	{ files: /^(?!kernel\/wire\/|test\/)/, mustNot: /^zeromq$/ },
	{ files: /^(?!kernel\/cell\/|test\/)/, mustNot: /^(tslab|@tslab\/.*|typescript)$/ },
	{ files: /^(?!sdk\/trace\/|sdk\/tensor\.ts|test\/)/, mustNot: /^apache-arrow$/ },
	{ files: /^(?!kernel\/|test\/)/, mustNot: /^(plotly\.js-dist|@jupyterlab\/.*|fastify|ws)$/ },
	{ files: /^(?!sdk\/model\/|test\/)/, mustNot: /^@huggingface\// },
	{ files: /^(?!test\/)/, mustNot: /^nodejs-polars$/ },
	// C++. Only session knows how cache, evict, ops and trace come together.
	{ files: /^native\/core\//, may: /^native\/core\// },
	{ files: /^native\/ops\//, may: /^native\/(core|ops)\// },
	{ files: /^native\/cache\//, may: /^native\/(core|cache)\// },
	{ files: /^native\/evict\//, may: /^native\/(core|evict)\// },
	{ files: /^native\/optim\//, may: /^native\/(core|optim|ops)\// },
	{ files: /^native\/trace\//, may: /^native\/(core|trace)\// },
	{ files: /^native\/model\//, may: /^native\/(core|ops|model)\// },
	{ files: /^native\/session\//, may: /^native\/(core|ops|cache|evict|optim|trace|model|session)\// },
	// The binding also passes models and trace columns on, and works with neither.
	{ files: /^native\/binding\//, may: /^native\/(core|session|model|trace|binding)\/|^napi$/ },
	{ files: /^native\/(?!binding\/)/, mustNot: /^(napi|node_api)$/ },
];

function violations({ path, imports }: Source): string[] {
	const found = [];
	for (const { files, may, mustNot } of rules) {
		if (!files.test(path)) continue;
		for (const name of imports) {
			if ((may && !may.test(name)) || mustNot?.test(name)) found.push(`${path} imports ${name}`);
		}
	}
	return found;
}

function readTypeScript(path: string): Source {
	const code = readFileSync(join(root, path), "utf8").replace(/^\s*(\/\/|\*|\/\*).*$/gm, "");
	// At the start of a line: programs in strings, as tests and benchmarks have, import nothing.
	const imports = /^(?:(?:import|export)\b[^;"=()]*\bfrom\s*|import\s*)"([^"]+)"|\bimport\("([^"]+)"\)/gm;
	const names = [...code.matchAll(imports)].map((match) => (match[1] ?? match[2])!);
	const local = (name: string) => join(dirname(path), name).replace(/\.(js|ts)$/, "");
	return { path, imports: names.map((name) => (name.startsWith(".") ? local(name) : name)) };
}

function readCpp(path: string): Source {
	const code = readFileSync(join(root, path), "utf8");
	const quoted = [...code.matchAll(/^\s*#\s*include\s+"([^"]+)"/gm)].map((match) => `native/${match[1]}`);
	const addons = [...code.matchAll(/^\s*#\s*include\s+[<"](napi|node_api)\.h[>"]/gm)].map((match) => match[1]!);
	return { path, imports: [...quoted.filter((name) => !/\/(napi|node_api)\.h$/.test(name)), ...addons] };
}

function sources(): Source[] {
	const result: Source[] = [];
	for (const folder of ["kernel", "sdk", "native", "bench"]) {
		for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
			const path = relative(root, join(entry.parentPath, entry.name));
			if (!entry.isFile() || /^native\/build/.test(path)) continue;
			if (/(?<!\.d)\.ts$/.test(path)) result.push(readTypeScript(path));
			else if (/\.(h|cpp|cu)$/.test(path)) result.push(readCpp(path));
		}
	}
	return result;
}

test("every import keeps the boundaries", () => {
	const all = sources();
	const count = (ending: RegExp) => all.filter(({ path }) => ending.test(path)).length;
	assert.ok(count(/\.ts$/) > 60 && count(/\.(h|cpp)$/) > 60, `found ${all.length} files`);
	assert.ok(all.flatMap(({ imports }) => imports).length > 200, "imports are found");
	assert.deepEqual(all.flatMap(violations), []);
});

test("the checker finds what breaks them", () => {
	const broken: [string, string][] = [
		["sdk/chart/a.ts", "sdk/decode/session"],
		["sdk/chart/a.ts", "native/load"],
		["sdk/chart/a.ts", "apache-arrow"],
		["sdk/decode/a.ts", "sdk/chart/index"],
		["sdk/decode/a.ts", "sdk/train/session"],
		["sdk/decode/a.ts", "apache-arrow"],
		["sdk/decode/a.ts", "@huggingface/tokenizers"],
		["sdk/train/schedule/a.ts", "native/load"],
		["sdk/trace/a.ts", "sdk/decode/session"],
		["sdk/index.ts", "kernel/main"],
		["kernel/wire/a.ts", "native/load"],
		["kernel/cell/a.ts", "native/lane-other"],
		["kernel/wire/a.ts", "sdk/index"],
		["kernel/display/a.ts", "apache-arrow"],
		["kernel/handlers/a.ts", "zeromq"],
		["kernel/wire/a.ts", "tslab"],
		["sdk/a.ts", "plotly.js-dist"],
		["bench/a.ts", "sdk/index"],
		["native/session/a.cpp", "native/binding/views.h"],
		["native/cache/a.cpp", "native/ops/gemm.h"],
		["native/evict/a.cpp", "native/cache/block_pool.h"],
		["native/trace/a.cpp", "native/cache/block_pool.h"],
		["native/ops/a.cpp", "native/model/llama.h"],
		["native/binding/a.cpp", "native/evict/policy.h"],
		["native/session/a.cpp", "napi"],
	];
	for (const [path, name] of broken) {
		assert.notDeepEqual(violations({ path, imports: [name] }), [], `${path} must not import ${name}`);
	}
	assert.deepEqual(violations({ path: "sdk/decode/a.ts", imports: ["sdk/model/config", "sdk/errors", "node:fs"] }), []);
});
