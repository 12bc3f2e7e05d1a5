// What to do instead, where a cell is written as for another kernel: IPython's magics, shell lines and questions.

const hints: readonly [pattern: RegExp, hint: string][] = [
	[/^\s*[!%]\s*(?:pip|conda|npm|yarn|pnpm)\s+(?:install|add|i)\b\s*/, 'await install("package") installs a package'],
	[/^\s*%%?(?:html|markdown|latex|svg)\b/, "display.html(text), .markdown, .latex and .svg show a text in that format"],
	[/^\s*%%?time(?:it)?\b/, 'console.time("name") and console.timeEnd("name") measure'],
	[/^\s*%%?\w+/, "there are no magics: a cell is TypeScript"],
	[
		/^\s*!\s*[\w./-]+(?:\s+(?![\s=&|?.<>+*/%(-])|\s+-{1,2}\w|\s*$)/,
		'execSync("command", { encoding: "utf8" }) from "node:child_process" runs a command',
	],
	[/^\s*\?{1,2}\w|^\s*[\w.]+\?{1,2}\s*$/, "Shift+Tab shows what is known of a name"],
];

/** A hint for the line of an error; undefined where there is none. */
export function hintFor(line: string): string | undefined {
	return hints.find(([pattern]) => pattern.test(line))?.[1];
}

/** A hint for a package that is not there. @param message TypeScript's */
export function packageHint(message: string): string | undefined {
	const name = /^Cannot find module '([^'./][^']*)'/.exec(message)?.[1];
	const isPackage = name !== undefined && /^(?:@[\w.~-]+\/)?[a-z\d~][\w.~-]*(?:\/|$)/.test(name);
	const root = name?.match(/^(?:@[^/]+\/)?[^/]+/)?.[0];
	return isPackage ? `where it is a package of npm, await install("${root}") adds it` : undefined;
}
