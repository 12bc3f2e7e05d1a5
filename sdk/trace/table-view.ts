// How an Arrow table looks in a notebook: HTML and text, a page of rows. The display symbol is put on Table's prototype
// once, so that what a researcher derives from a table (select, slice, assign) shows as well as the table itself.

import { DataType, Table } from "apache-arrow";

const displaySymbol = Symbol.for("Jupyter.display");

/** What part of a table is shown. */
export interface TableViewOptions {
	/** First row shown. Default 0. */
	offset?: number;
	/** Rows shown; from 1. Default 20. */
	numRows?: number;
	/** Values of a list cell shown before the rest is counted. Default 8. */
	maxListItems?: number;
}

interface Cell {
	text: string;
	numeric: boolean;
}

/** A number in few characters: whole numbers in full, others with 5 significant digits. */
export function formatNumber(value: number): string {
	if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "-∞";
	if (Number.isInteger(value) && Math.abs(value) < 1e15) return String(value);
	const size = Math.abs(value);
	return size >= 1e-4 && size < 1e7 ? String(Number(value.toPrecision(5))) : value.toExponential(3);
}

function formatCell(value: unknown, maxListItems: number): Cell {
	if (value === null || value === undefined) return { text: "", numeric: false };
	if (typeof value === "number") return { text: formatNumber(value), numeric: true };
	if (typeof value === "bigint") return { text: String(value), numeric: true };
	if (typeof value === "object" && Symbol.iterator in value) {
		const items: string[] = [];
		let count = 0;
		for (const item of value as Iterable<unknown>) {
			if (count++ < maxListItems) items.push(formatCell(item, maxListItems).text);
		}
		const rest = count > items.length ? `, … ${count} in all` : "";
		return { text: `[${items.join(", ")}${rest}]`, numeric: false };
	}
	if (value instanceof Date) return { text: value.toISOString(), numeric: false };
	const text = String(value);
	return { text: text.length > 80 ? `${text.slice(0, 80)}…` : text, numeric: false };
}

function escapeHtml(text: string): string {
	return text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]!);
}

function shownRows(table: Table, { offset = 0, numRows = 20, maxListItems = 8 }: TableViewOptions) {
	const begin = Math.max(0, Math.min(Math.trunc(offset), table.numRows));
	const end = Math.min(table.numRows, begin + Math.max(1, Math.trunc(numRows)));
	const rows: Cell[][] = [];
	for (let i = begin; i < end; i++) {
		rows.push(table.schema.fields.map((_, c) => formatCell(table.getChildAt(c)?.get(i), maxListItems)));
	}
	const shape = `${table.numRows} rows × ${table.numCols} columns`;
	const note = rows.length < table.numRows ? `${shape}, rows ${begin} to ${end - 1} shown` : shape;
	return { begin, rows, note };
}

function isNumeric(type: DataType): boolean {
	return DataType.isInt(type) || DataType.isFloat(type);
}

/** HTML of a page of a table: numbers aligned right, list cells shortened, column descriptions as tooltips. */
export function tableToHtml(table: Table, options: TableViewOptions = {}): string {
	const { begin, rows, note } = shownRows(table, options);
	const cell = "padding:2px 8px;white-space:nowrap";
	const head = table.schema.fields
		.map((field) => {
			const title = [field.metadata.get("description"), String(field.type)].filter(Boolean).join(" · ");
			const align = isNumeric(field.type) ? "right" : "left";
			return `<th title="${escapeHtml(title)}" style="${cell};text-align:${align}">${escapeHtml(field.name)}</th>`;
		})
		.join("");
	const body = rows
		.map((row, i) => {
			const cells = row.map(({ text, numeric }) => {
				const align = numeric ? "right;font-variant-numeric:tabular-nums" : "left";
				return `<td style="${cell};text-align:${align}">${escapeHtml(text)}</td>`;
			});
			return `<tr><th style="${cell};text-align:right;opacity:.6;font-weight:normal">${begin + i}</th>${cells.join("")}</tr>`;
		})
		.join("\n");
	return `<div style="overflow-x:auto"><table style="border-collapse:collapse;font-size:90%"><thead><tr><th></th>${head}</tr></thead>\n<tbody>${body}</tbody></table>\n<div style="opacity:.7;font-size:85%">${note}</div></div>`;
}

/** The same page as plain text, columns aligned. */
export function tableToText(table: Table, options: TableViewOptions = {}): string {
	const { begin, rows, note } = shownRows(table, options);
	const lines: Cell[][] = [
		["", ...table.schema.fields.map((field) => field.name)].map((text) => ({ text, numeric: false })),
		...rows.map((row, i) => [{ text: String(begin + i), numeric: true }, ...row]),
	];
	lines[0]!.forEach((header, c) => {
		const type = table.schema.fields[c - 1]?.type;
		header.numeric = type !== undefined && isNumeric(type);
	});
	const widths = lines[0]!.map((_, c) => Math.max(...lines.map((line) => line[c]!.text.length)));
	const text = lines.map((line) =>
		line
			.map(({ text, numeric }, c) => (numeric ? text.padStart(widths[c]!) : text.padEnd(widths[c]!)))
			.join("  ")
			.trimEnd(),
	);
	return [...text, note].join("\n");
}

/** A table as a MIME bundle. */
export function showTable(table: Table, options: TableViewOptions = {}): Record<string, string> {
	return { "text/plain": tableToText(table, options), "text/html": tableToHtml(table, options) };
}

/** Lets every Arrow table show itself in a notebook. Calling it again changes nothing. */
export function installTableView(): void {
	if (Object.hasOwn(Table.prototype, displaySymbol)) return;
	Object.defineProperty(Table.prototype, displaySymbol, {
		value(this: Table): Record<string, string> {
			return showTable(this);
		},
		configurable: true,
		writable: true,
	});
}
