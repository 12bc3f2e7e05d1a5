// What to do instead, where a cell is written as for another kernel or another language: IPython's magics, shell lines and
// questions, Python, JSX, and names of web pages.

type Hints = readonly (readonly [pattern: RegExp, hint: string])[];

/** By a line at which a cell is refused, whatever for. */
const foreignLines: Hints = [
	[/^\s*[!%]?\s*(?:pip|conda|npm|yarn|pnpm)\s+(?:install|add|i)\b/, 'await install("package") installs a package'],
	[/^\s*%%?(?:html|markdown|latex|svg)\b/, "display.html(text), .markdown, .latex and .svg show a text in that format"],
	[/^\s*%%?time(?:it)?\b/, 'console.time("name") and console.timeEnd("name") measure'],
	[/^\s*%%?\w+/, "there are no magics: a cell is TypeScript"],
	[
		/^\s*!\s*[\w./-]+(?:\s+(?![\s=&|?.<>+*/%(-])|\s+-{1,2}\w|\s*$)/,
		'execSync("command", { encoding: "utf8" }) from "node:child_process" runs a command',
	],
	[/^\s*\?{1,2}\w|^\s*[\w.]+\?{1,2}\s*$/, "Shift+Tab shows what is known of a name"],
];

/** By a line that cannot be read. */
const foreignSyntax: Hints = [
	[/^\s*#(?:\s|$)/, "a comment begins with //"],
	[/^\s*(?:async\s+)?def\s+\w+\s*\(/, "function name(parameter: type) { … } defines a function"],
	[/^\s*import\s+[\w.]+\s+as\s+\w+\s*$/, 'import * as name from "package" imports all of a package'],
	[/^\s*from\s+[\w.]+\s+import\b/, 'import { name } from "package" imports names of a package'],
	[/^\s*for\s+[\w\s,()]+\s+in\b.*:\s*$/, "for (const item of items) { … } goes through items"],
	[
		/^\s*(?:if|elif|else|while|try|except|finally|with|class)\b.*:\s*$/,
		"a block stands in braces: if (condition) { … }",
	],
	[/\blambda\b[^:]*:/, "(parameter) => value is a function"],
	[/(?:^|[\s=(,])[fr]["']/, `\`text \${value}\` puts values into a text`],
	[
		/(?:^|[=(,?:&]|=>|\breturn)\s*<(?:[A-Za-z][\w.]*(?:\s[^<>]*)?\/?)?>/,
		"a cell has no JSX: display.html(text) shows HTML, and a file that ends with .tsx may be imported",
	],
];

const print = "console.log(value) prints, and display(value) shows";
const boolean = "it is true and false";
const noPage = "cells run in Node.js and not in a page: display.html(text) shows HTML";
/** By a name that nothing declares. */
const foreignNames: ReadonlyMap<string, string> = new Map([
	["print", print],
	["alert", print],
	["echo", print],
	["len", "array.length, text.length, map.size"],
	["range", "Array.from({ length: 3 }, (_, index) => index) is [0, 1, 2]"],
	["None", "it is null or undefined"],
	["True", boolean],
	["False", boolean],
	["str", "String(value)"],
	["int", "Math.trunc(Number(value))"],
	["float", "Number(value)"],
	["dict", "{ key: value } is an object, new Map() a dictionary with keys of any type"],
	["help", "Shift+Tab shows what is known of a name"],
	["dir", "Object.keys(value), or completion behind a dot, tell the members"],
	["exit", "the front end shuts the kernel down"],
	["quit", "the front end shuts the kernel down"],
	["_", "results are not kept: give the value a name"],
	["Out", "results are not kept: give the value a name"],
	["document", noPage],
	["window", noPage],
	["localStorage", noPage],
]);

/** A hint for the line of an error. @param isSyntax whether it could not be read */
export function lineHint(line: string, isSyntax: boolean): string | undefined {
	const hints = isSyntax ? [...foreignLines, ...foreignSyntax] : foreignLines;
	return hints.find(([pattern]) => pattern.test(line))?.[1];
}

/** A hint for a name or a member that is not there. @param message TypeScript's @param line of the error */
export function nameHint(message: string, line: string): string | undefined {
	if (/^Property .* Try changing the 'lib' compiler option/.test(message)) {
		return "types are those of Node.js 20; (value as any).name goes past them where yours has more";
	}
	const name = /^Cannot find name '([\w$]+)'/.exec(message)?.[1];
	if (name === undefined) return undefined;
	const isAssigned = /^\s*([\w$]+)\s*=(?!=)/.exec(line)?.[1] === name;
	return isAssigned ? `let ${name} = … declares a variable` : foreignNames.get(name);
}

/** A hint for what goes wrong as it runs. @param message the error's */
export function runtimeHint(message: string): string | undefined {
	return /^__(?:dirname|filename) is not defined$/.test(message)
		? "import.meta.dirname is the notebook's folder"
		: undefined;
}

/** A hint for a package that is not there. @param message TypeScript's */
export function packageHint(message: string): string | undefined {
	const name = /^Cannot find module '([^'./][^']*)'/.exec(message)?.[1];
	const isPackage = name !== undefined && /^(?:@[\w.~-]+\/)?[a-z\d~][\w.~-]*(?:\/|$)/.test(name);
	const root = name?.match(/^(?:@[^/]+\/)?[^/]+/)?.[0];
	return isPackage ? `where it is a package of npm, await install("${root}") adds it` : undefined;
}
