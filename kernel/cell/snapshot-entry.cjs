// Runs while a snapshot is being made (node --build-snapshot): loads TypeScript, parses the libraries that every cell
// sees, and checks and prints something, so that the compiler's own functions are compiled too. Plain JavaScript without
// imports or exports: a snapshot's entry can only require Node's own modules.

const { readFileSync } = require("node:fs");
const { dirname } = require("node:path");

const { typescript, source, libraries, ownTypes, target } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const loaded = { exports: {} };
const load = new Function("exports", "require", "module", "__filename", "__dirname", readFileSync(source, "utf8"));
load(loaded.exports, require, loaded, typescript, dirname(typescript));
const ts = loaded.exports;
const sources = new Map();
const { substring } = String.prototype;
// V8 makes a part of 13 characters or more a view of the whole, which would keep the text of each library.
String.prototype.substring = function (...range) {
	const part = substring.apply(this, range);
	return part.length < 13 ? part : Buffer.from(part).toString();
};
const options = { languageVersion: target, jsDocParsingMode: ts.JSDocParsingMode.ParseNone };
for (const name of libraries) sources.set(name, ts.createSourceFile(name, readFileSync(name, "utf8"), options));
String.prototype.substring = substring;

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
// Read again where it is asked for, by library-sources.ts.
for (const [name, file] of sources) if (!name.startsWith(ownTypes)) file.text = "";
Object.assign(globalThis, { octavoSnapshot: { typescript: ts, copy: { ...ts }, sources, Console: console.Console } });
