// Lines of code around a place, the place marked, in the colours of a terminal.

export const red = (text: string) => `\u001b[31m${text}\u001b[39m`;
export const cyan = (text: string) => `\u001b[36m${text}\u001b[39m`;
export const dim = (text: string) => `\u001b[2m${text}\u001b[22m`;

/** Lines shown before and behind the marked one. */
const contextLines = 2;

/** Lines of code around a place. @param line from 1 @param column from 1 @param length of the mark, in UTF-16 units */
export function frame(lines: readonly string[], line: number, column: number, length: number): string[] {
	const first = Math.max(1, line - contextLines);
	const last = Math.min(lines.length, line + contextLines);
	const width = String(last).length;
	const out = [""];
	for (let number = first; number <= last; number++) {
		const text = (lines[number - 1] ?? "").slice(0, 160);
		out.push(`${number === line ? red(">") : " "} ${dim(`${String(number).padStart(width)} |`)} ${text}`);
		if (number !== line) continue;
		const indent = text.slice(0, column - 1).replace(/[^\t]/g, " ");
		out.push(`  ${" ".repeat(width)} ${dim("|")} ${indent}${red("^".repeat(Math.min(length, 120)))}`);
	}
	return out;
}
