// Runs while a snapshot is being made (node --build-snapshot): loads TypeScript, parses the libraries that every cell
// sees, and checks and prints something, so that the compiler's own functions are compiled too. Plain JavaScript without
// imports or exports: a snapshot's entry can only require Node's own modules.

const { readFileSync } = require("node:fs");
const { dirname } = require("node:path");

const { typescript, libraries, target } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const loaded = { exports: {} };
const load = new Function("exports", "require", "module", "__filename", "__dirname", readFileSync(typescript, "utf8"));
load(loaded.exports, require, loaded, typescript, dirname(typescript));
const ts = loaded.exports;
const sources = new Map();
for (const name of libraries) sources.set(name, ts.createSourceFile(name, readFileSync(name, "utf8"), target));

const cell = ts.createSourceFile(
	"/cell.ts",
	"export {};\nconst one: string[] = [String(1 + 1)].map((part) => part.trim());\n" +
		"async function two(value: number) { return await Promise.resolve({ value, one }); }\nexport { one, two };\n",
	target,
);
const program = ts.createProgram({
	rootNames: [...libraries, cell.fileName],
	options: { target, module: ts.ModuleKind.ESNext, declaration: true, sourceMap: true, noLib: true, types: [] },
	host: {
		getSourceFile: (name) => (name === cell.fileName ? cell : sources.get(name)),
		getDefaultLibFileName: () => "lib.d.ts",
		getDefaultLibLocation: () => dirname(typescript),
		writeFile() {},
		getCurrentDirectory: () => "/",
		getCanonicalFileName: (name) => name,
		useCaseSensitiveFileNames: () => true,
		getNewLine: () => "\n",
		fileExists: (name) => sources.has(name),
		readFile: () => undefined,
		directoryExists: () => false,
		getDirectories: () => [],
	},
});
program.getSemanticDiagnostics(cell);
program.emit(cell, () => {});
Object.assign(globalThis, { octavoSnapshot: { typescript: ts, copy: { ...ts }, sources, Console: console.Console } });
