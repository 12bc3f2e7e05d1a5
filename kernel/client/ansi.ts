// Terminal text → HTML: colours become classes that follow the page's theme, \r and \b overwrite as in a terminal, every
// other control sequence disappears.

interface Style {
	classes: Set<string>;
	color?: string | undefined;
	background?: string | undefined;
}

const names = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
const attributes: Partial<Record<number, string>> = {
	1: "bold",
	2: "dim",
	3: "italic",
	4: "underline",
	7: "inverse",
	9: "strike",
};
const ends: Partial<Record<number, string[]>> = {
	22: ["bold", "dim"],
	23: ["italic"],
	24: ["underline"],
	27: ["inverse"],
	29: ["strike"],
};

const escapeCode = String.fromCharCode(27);
const bell = String.fromCharCode(7);
// Colours in group 1; other CSI sequences; titles and links (OSC); two-character sequences.
const controlSequence = new RegExp(
	`${escapeCode}(?:\\[([\\d;:]*)m|\\[[\\d;?]*[A-Za-ln-z]|\\][^${bell}${escapeCode}]*(?:${bell}|${escapeCode}\\\\)|[@-Z\\\\^_])`,
	"g",
);

const backspace = String.fromCharCode(8);

/** Escapes text for HTML content and attributes. */
export function escapeHtml(text: string): string {
	return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

/** Gives the HTML of terminal text; everything in it is escaped. */
export function ansiToHtml(text: string): string {
	const style: Style = { classes: new Set() };
	let html = "";
	let from = 0;
	const plain = overwrite(text);
	for (const match of plain.matchAll(controlSequence)) {
		html += span(plain.slice(from, match.index), style);
		from = match.index + match[0].length;
		if (match[1] !== undefined) applyCodes(style, match[1].split(/[;:]/).map(Number));
	}
	return html + span(plain.slice(from), style);
}

/** Plays \r and \b of progress bars and such; a line that is rewritten keeps its last state. */
function overwrite(text: string): string {
	const lines = text.split("\n").map((line) => {
		const last = line.replace(/\r+$/, "");
		return rubOut(last.slice(last.lastIndexOf("\r") + 1));
	});
	return lines.join("\n");
}

function rubOut(line: string): string {
	if (!line.includes(backspace)) return line;
	const kept: string[] = [];
	for (const character of line) {
		if (character === backspace) kept.pop();
		else kept.push(character);
	}
	return kept.join("");
}

function applyCodes(style: Style, codes: number[]): void {
	for (let i = 0; i < codes.length; i++) {
		const code = codes[i]!;
		const attribute = attributes[code];
		if (code === 0) {
			style.classes.clear();
			style.color = style.background = undefined;
		} else if (attribute) style.classes.add(attribute);
		else if (ends[code]) for (const name of ends[code]) style.classes.delete(name);
		else if (code === 38 || code === 48) {
			const { color, used } = extendedColor(codes.slice(i + 1));
			i += used;
			if (code === 38) style.color = color;
			else style.background = color;
		} else if (code === 39) style.color = undefined;
		else if (code === 49) style.background = undefined;
		else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) style.color = themed(code % 10, code >= 90);
		else if ((code >= 40 && code <= 47) || (code >= 100 && code <= 107))
			style.background = themed(code % 10, code >= 100);
	}
}

function themed(index: number, bright: boolean): string {
	return `var(--ansi-${bright ? "bright-" : ""}${names[index]})`;
}

function extendedColor(codes: number[]): { color: string | undefined; used: number } {
	const byte = (value: number | undefined) => Math.max(0, Math.min(255, value || 0));
	if (codes[0] === 2) return { color: `rgb(${byte(codes[1])},${byte(codes[2])},${byte(codes[3])})`, used: 4 };
	if (codes[0] !== 5) return { color: undefined, used: 0 };
	const index = byte(codes[1]);
	if (index < 16) return { color: themed(index % 8, index >= 8), used: 2 };
	if (index >= 232) {
		const gray = 8 + (index - 232) * 10;
		return { color: `rgb(${gray},${gray},${gray})`, used: 2 };
	}
	const level = (n: number) => (n === 0 ? 0 : 55 + n * 40);
	const cube = index - 16;
	const [r, g, b] = [level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6)];
	return { color: `rgb(${r},${g},${b})`, used: 2 };
}

function span(text: string, { classes, color, background }: Style): string {
	if (text === "") return "";
	const styles = [color ? `color:${color}` : "", background ? `background:${background}` : ""]
		.filter(Boolean)
		.join(";");
	if (classes.size === 0 && styles === "") return escapeHtml(text);
	const list = [...classes].map((name) => `ansi-${name}`).join(" ");
	return `<span${list ? ` class="${list}"` : ""}${styles ? ` style="${styles}"` : ""}>${escapeHtml(text)}</span>`;
}
