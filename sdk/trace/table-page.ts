// The script that makes a table's HTML paged and sortable, in the page of any front end and in a saved notebook. Nothing
// is fetched; where scripts do not run, the first page stands there as plain HTML.

import { formatNumber } from "./number-format.js";

/** What the script knows of a column. */
export interface PageColumn {
	name: string;
	numeric: boolean;
}

/** One cell as the script gets it: a number where it sorts as one, the text shown otherwise, null where it is empty. */
export type PageCell = number | string | null;

/** Class of the element that the script works in. */
export const tableClass = "octavo-table";

// Plain JavaScript of the browsers that Notebook 6 supports; `formatNumber` stands in front of it.
const source = `
	var here = document.currentScript;
	var root = here && here.closest && here.closest(".${tableClass}");
	if (!root) root = document.getElementById(id);
	if (!root || root.octavoPaged) return;
	root.octavoPaged = true;
	var body = root.querySelector("tbody"), heads = root.querySelectorAll("thead th[data-column]"), note = root.querySelector(".octavo-note");
	var order = rows.map(function (_, i) { return i; }), page = 0, sorted = -1, down = false;
	var numPages = Math.max(1, Math.ceil(rows.length / pageRows));
	function key(value) {
		if (typeof value === "number") return value;
		if (value === "∞") return Infinity;
		if (value === "-∞") return -Infinity;
		return NaN;
	}
	function compare(a, b, numeric) {
		if (a === null || b === null) return a === b ? 0 : a === null ? 2 : -2;
		if (!numeric) return a < b ? -1 : a > b ? 1 : 0;
		if (/^-?\\d+$/.test(a) && /^-?\\d+$/.test(b)) { a = BigInt(a); b = BigInt(b); }
		else { a = key(a); b = key(b); if (a !== a || b !== b) return a !== a && b !== b ? 0 : a !== a ? 2 : -2; }
		return a < b ? -1 : a > b ? 1 : 0;
	}
	function sort(column) {
		if (sorted !== column) { sorted = column; down = false; }
		else if (!down) down = true;
		else sorted = -1;
		order.sort(function (i, j) {
			if (sorted < 0) return i - j;
			var way = compare(rows[i][column], rows[j][column], columns[column].numeric);
			// Empty cells and NaN stay last, whichever way.
			return (down && Math.abs(way) === 1 ? -way : way) || i - j;
		});
		page = 0;
		draw();
	}
	function cell(tag, text, style) {
		var made = document.createElement(tag);
		made.textContent = text;
		made.setAttribute("style", style);
		return made;
	}
	function draw() {
		body.textContent = "";
		order.slice(page * pageRows, (page + 1) * pageRows).forEach(function (i) {
			var row = document.createElement("tr");
			row.appendChild(cell("th", String(i), styles.index));
			rows[i].forEach(function (value, c) {
				var text = value === null ? "" : typeof value === "number" ? formatNumber(value) : value;
				row.appendChild(cell("td", text, columns[c].numeric ? styles.number : styles.text));
			});
			body.appendChild(row);
		});
		Array.prototype.forEach.call(heads, function (head, c) {
			head.firstElementChild.textContent = columns[c].name + (sorted === c ? (down ? " ▼" : " ▲") : "");
			head.setAttribute("aria-sort", sorted === c ? (down ? "descending" : "ascending") : "none");
		});
		var first = page * pageRows;
		place.textContent = " rows " + first + " to " + (Math.min(first + pageRows, rows.length) - 1) + " ";
		buttons.forEach(function (button, i) { button.disabled = i < 2 ? page === 0 : page === numPages - 1; });
	}
	var pager = document.createElement("span"), place = cell("span", "", ""), buttons = [["«", "first page"], ["‹", "page before"], ["›", "next page"], ["»", "last page"]].map(function (face, i) {
		var button = cell("button", face[0], "padding:0 6px");
		button.type = "button";
		button.setAttribute("aria-label", face[1]);
		button.onclick = function () { page = [0, page - 1, page + 1, numPages - 1][i]; draw(); };
		return button;
	});
	[buttons[0], buttons[1], place, buttons[2], buttons[3]].forEach(function (part) { pager.appendChild(part); });
	if (numPages > 1) note.parentNode.insertBefore(pager, note);
	Array.prototype.forEach.call(heads, function (head, c) {
		var button = cell("button", columns[c].name, "all:unset;cursor:pointer");
		button.type = "button";
		head.textContent = "";
		head.appendChild(button);
		button.onclick = function () { sort(c); };
	});
	note.textContent = pagedNote;
	draw();
`;

/** What a table's script needs. */
export interface PageData {
	/** Id of the element with the class {@link tableClass}. */
	id: string;
	columns: PageColumn[];
	rows: PageCell[][];
	pageRows: number;
	styles: { index: string; number: string; text: string };
	/** Note under the table where the script runs. */
	pagedNote: string;
}

/** The script element of a table. No text of the table can end it. */
export function pageScript(data: PageData): string {
	const declarations = Object.entries(data).map(([name, value]) => `\tvar ${name} = ${scriptJson(value)};`);
	return `<script>(function () {\n${declarations.join("\n")}\n\tvar formatNumber = ${formatNumber};${source}})();</script>`;
}

function scriptJson(value: unknown): string {
	return JSON.stringify(value)
		.replace(/</g, "\\u003c")
		.replace(/\u2028/g, "\\u2028")
		.replace(/\u2029/g, "\\u2029");
}
