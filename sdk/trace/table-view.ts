// How an Arrow table looks in a notebook: HTML that is paged and sorted in the page, text, and the table itself as an
// Arrow stream while it is small. The display symbol is put on Table's prototype
// once, so that what a researcher derives from a table (select, slice, assign) shows as well as the table itself.

import { randomUUID } from "node:crypto";
import { DataType, RecordBatch, Schema, Table, tableToIPC, Vector } from "apache-arrow";
import { OctavoError, received } from "../errors.js";
import { anything, checkOptions } from "../options.js";
import { schemaToText, vectorToText } from "./arrow-text.js";
import { formatNumber } from "./number-format.js";
import { type PageCell, pageScript, tableClass } from "./table-page.js";

export { formatNumber } from "./number-format.js";

/** Rows that the page can turn to and sort; beyond, a saved notebook would grow too large. */
const maxPagedRows = 2000;
/** Text of these rows, in UTF-16 units: fewer rows where they are wide. */
const maxPagedLength = 400_000;
/** Largest Arrow stream that goes along, in bytes. */
const maxStreamBytes = 1024 * 1024;

const displaySymbol = Symbol.for("Jupyter.display");

/** What part of a table is shown. */
export interface TableViewOptions {
	/** First row shown, from 0. Default 0. */
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

/** A value as it is meant: Arrow gives dates and times as numbers. */
function valueAt(vector: Vector | null, i: number): unknown {
	const value: unknown = vector?.get(i);
	const isTime = vector !== null && (DataType.isTimestamp(vector.type) || DataType.isDate(vector.type));
	if (!isTime || typeof value !== "number") return value;
	const date = new Date(value);
	return Number.isNaN(date.valueOf()) ? value : date;
}

function escapeHtml(text: string): string {
	return text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]!);
}

function shownRows(table: Table, options: TableViewOptions) {
	if (typeof table?.getChildAt !== "function") {
		throw new OctavoError("ERR_OCTAVO_TRACE", `Expected an Arrow table but received ${received(table)}`);
	}
	checkOptions("a table's view", options, { offset: anything, numRows: anything, maxListItems: anything });
	const { offset = 0, numRows = 20, maxListItems = 8 } = options;
	const begin = Math.max(0, Math.min(Math.trunc(offset), table.numRows));
	const end = Math.min(table.numRows, begin + Math.max(1, Math.trunc(numRows)));
	const rows: Cell[][] = [];
	for (let i = begin; i < end; i++) {
		rows.push(table.schema.fields.map((_, c) => formatCell(valueAt(table.getChildAt(c), i), maxListItems)));
	}
	const shape = `${table.numRows} rows × ${table.numCols} columns`;
	const note = rows.length < table.numRows ? `${shape}, rows ${begin} to ${end - 1} shown` : shape;
	return { begin, rows, note };
}

function isNumeric(type: DataType): boolean {
	return DataType.isInt(type) || DataType.isFloat(type);
}

const cellStyle = "padding:2px 8px;white-space:nowrap";
const styles = {
	index: `${cellStyle};text-align:right;opacity:.6;font-weight:normal`,
	number: `${cellStyle};text-align:right;font-variant-numeric:tabular-nums`,
	text: `${cellStyle};text-align:left`,
};

/**
 * HTML of a table: numbers aligned right, list cells shortened, column descriptions as tooltips. Where scripts run, one
 * turns pages and sorts by a click on a column's name; where they do not, the first page stands there.
 */
export function tableToHtml(table: Table, options: TableViewOptions = {}): string {
	const { begin, rows, note } = shownRows(table, options);
	const head = table.schema.fields
		.map((field, c) => {
			const title = [field.metadata.get("description"), String(field.type)].filter(Boolean).join(" · ");
			const align = isNumeric(field.type) ? "right" : "left";
			return `<th data-column="${c}" title="${escapeHtml(title)}" style="${cellStyle};text-align:${align}">${escapeHtml(field.name)}</th>`;
		})
		.join("");
	const body = rows
		.map((row, i) => {
			const cells = row.map(
				({ text, numeric }) => `<td style="${numeric ? styles.number : styles.text}">${escapeHtml(text)}</td>`,
			);
			return `<tr><th style="${styles.index}">${begin + i}</th>${cells.join("")}</tr>`;
		})
		.join("\n");
	const id = `octavo-table-${randomUUID()}`;
	// A page that the caller chose stays as it is.
	const script = begin === 0 && rows.length > 1 ? `\n${tableScript(table, id, options)}` : "";
	return `<div id="${id}" class="${tableClass}" style="overflow-x:auto"><table style="border-collapse:collapse;font-size:90%"><thead><tr><th></th>${head}</tr></thead>\n<tbody>${body}</tbody></table>\n<div class="octavo-note" style="opacity:.7;font-size:85%">${note}</div>${script}</div>`;
}

function tableScript(table: Table, id: string, { numRows = 20, maxListItems = 8 }: TableViewOptions): string {
	const columns = table.schema.fields.map(({ name, type }) => ({ name, numeric: isNumeric(type) }));
	const vectors = columns.map((_, c) => table.getChildAt(c));
	const rows: PageCell[][] = [];
	let length = 0;
	for (let i = 0; i < Math.min(table.numRows, maxPagedRows) && length < maxPagedLength; i++) {
		const row = vectors.map((vector) => pageCell(valueAt(vector, i), maxListItems));
		for (const cell of row) length += typeof cell === "string" ? cell.length + 3 : 8;
		rows.push(row);
	}
	const shape = `${table.numRows} rows × ${table.numCols} columns`;
	const pagedNote =
		rows.length < table.numRows
			? `${shape}; the first ${rows.length} are in this page, sorted among themselves`
			: shape;
	return pageScript({ id, columns, rows, pageRows: Math.max(1, Math.trunc(numRows)), styles, pagedNote });
}

function pageCell(value: unknown, maxListItems: number): PageCell {
	if (value === null || value === undefined) return null;
	if (typeof value === "number" && Number.isFinite(value)) return value;
	return formatCell(value, maxListItems).text;
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

/** A table as a MIME bundle; as an Arrow stream too while that is small, with a word in the text where it is not. */
export function showTable(table: Table, options: TableViewOptions = {}): Record<string, string | Uint8Array> {
	const shown = { "text/plain": tableToText(table, options), "text/html": tableToHtml(table, options) };
	// Memory in use, not rows: what a slice shares with its table goes along in a stream.
	const sizeBytes = table.data.reduce((sum, data) => sum + data.byteLength, 0);
	if (sizeBytes <= maxStreamBytes) {
		const stream = tableToIPC(table, "stream");
		if (stream.length <= maxStreamBytes) return { ...shown, "application/vnd.apache.arrow.stream": stream };
	}
	const size = `${(sizeBytes / 1e6).toFixed(1)} MB`;
	const note = `(not sent along as an Arrow stream: ${size}, more than ${maxStreamBytes / 1024 / 1024} MiB)`;
	return { ...shown, "text/plain": `${shown["text/plain"]}\n${note}` };
}

/** Lets every Arrow table, record batch, column and schema show itself in a notebook. Calling it again changes nothing. */
export function installTableView(): void {
	if (Object.hasOwn(Table.prototype, displaySymbol)) return;
	const install = <T>(prototype: T, show: (value: T) => Record<string, string | Uint8Array>) => {
		const value = function (this: T) {
			return show(this);
		};
		Object.defineProperty(prototype, displaySymbol, { value, configurable: true, writable: true });
	};
	install(Table.prototype, (table) => showTable(table));
	install(RecordBatch.prototype, (batch) => showTable(new Table([batch])));
	install(Vector.prototype, (vector) => ({ "text/plain": vectorToText(vector) }));
	install(Schema.prototype, (schema) => ({ "text/plain": schemaToText(schema) }));
}
