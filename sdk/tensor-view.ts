// How a tensor looks in a notebook: shape, dtype, statistics and a small heat map. The map is a PNG in the page: a pixel
// an element costs a byte or so, where a drawn cell costs a hundred.

import { crc32, deflateSync } from "node:zlib";
import type { Tensor } from "./tensor.js";
import { formatNumber } from "./trace/table-view.js";

// Elements on a side of one tile, and tiles shown: beyond, elements are averaged and tiles left out.
const maxTileSide = 96;
const maxTiles = 8;

function header(tensor: Tensor): string {
	const axes = tensor.shape.map((size, axis) => `${tensor.axisNames[axis]} ${size}`).join(" × ");
	return `Tensor ${tensor.dtype} [${axes || "scalar"}]`;
}

function statsLine(tensor: Tensor): string {
	const { min, max, mean, std, numNan } = tensor.stats();
	const named = { min, max, mean, std };
	const parts = Object.entries(named).map(([name, value]) => `${name} ${formatNumber(value)}`);
	return [...parts, `NaN ${numNan}`].join("  ");
}

/** Shape, dtype, statistics and the first elements. */
export function tensorToText(tensor: Tensor): string {
	const first = Array.from(tensor.toFloat32().subarray(0, 8), formatNumber).join(", ");
	return `${header(tensor)}\n${statsLine(tensor)}\n[${first}${tensor.size > 8 ? ", …" : ""}]`;
}

// Blue below zero, white at it, red above; grey for NaN. Readable with the usual kinds of colour blindness.
function colour(value: number, scale: number): [number, number, number] {
	if (Number.isNaN(value)) return [128, 128, 128];
	const t = scale === 0 ? 0 : Math.max(-1, Math.min(1, value / scale));
	const end = t < 0 ? [33, 102, 172] : [178, 24, 43];
	const mix = (channel: number) => Math.round(255 + (end[channel]! - 255) * Math.abs(t));
	return [mix(0), mix(1), mix(2)];
}

interface Tile {
	rows: number;
	columns: number;
	cells: Float32Array;
}

// Averages a matrix down to the tile's size; a NaN in a cell makes the cell NaN, so that none hides.
function shrink(data: Float32Array, rows: number, columns: number): Tile {
	const tile = { rows: Math.min(rows, maxTileSide), columns: Math.min(columns, maxTileSide) };
	const cells = new Float32Array(tile.rows * tile.columns);
	for (let r = 0; r < tile.rows; r++) {
		for (let c = 0; c < tile.columns; c++) {
			const bottom = Math.floor(((r + 1) * rows) / tile.rows);
			const right = Math.floor(((c + 1) * columns) / tile.columns);
			let sum = 0;
			let count = 0;
			for (let i = Math.floor((r * rows) / tile.rows); i < bottom; i++) {
				for (let j = Math.floor((c * columns) / tile.columns); j < right; j++) {
					sum += data[i * columns + j]!;
					count++;
				}
			}
			cells[r * tile.columns + c] = sum / count;
		}
	}
	return { ...tile, cells };
}

function pngChunk(type: string, data: Uint8Array): Buffer {
	const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
	const chunk = Buffer.alloc(body.length + 8);
	chunk.writeUInt32BE(data.length, 0);
	body.copy(chunk, 4);
	chunk.writeUInt32BE(crc32(body), body.length + 4);
	return chunk;
}

function toPng({ rows, columns, cells }: Tile, scale: number): Buffer {
	const pixels = Buffer.alloc(rows * (columns * 3 + 1));
	for (let r = 0; r < rows; r++) {
		for (let c = 0; c < columns; c++) {
			pixels.set(colour(cells[r * columns + c]!, scale), r * (columns * 3 + 1) + 1 + c * 3);
		}
	}
	const size = Buffer.alloc(13);
	size.writeUInt32BE(columns, 0);
	size.writeUInt32BE(rows, 4);
	size.set([8, 2, 0, 0, 0], 8);
	const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
	const parts = [pngChunk("IHDR", size), pngChunk("IDAT", deflateSync(pixels)), pngChunk("IEND", Buffer.alloc(0))];
	return Buffer.concat([signature, ...parts]);
}

/** Shape, dtype and statistics, and a heat map of the last two axes: one tile for each index of the leading ones. */
export function tensorToHtml(tensor: Tensor): string {
	const escapeHtml = (text: string) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
	const title = `<div><b>${escapeHtml(header(tensor))}</b><br><code>${escapeHtml(statsLine(tensor))}</code></div>`;
	if (tensor.size === 0 || tensor.shape.length === 0) return title;
	const data = tensor.toFloat32();
	const columns = tensor.shape.at(-1)!;
	const rows = tensor.shape.at(-2) ?? 1;
	const numTiles = data.length / (rows * columns);
	const { min, max } = tensor.stats();
	const scale = Math.max(Math.abs(min), Math.abs(max));
	const tiles = Array.from({ length: Math.min(numTiles, maxTiles) }, (_, i) => {
		const tile = shrink(data.subarray(i * rows * columns, (i + 1) * rows * columns), rows, columns);
		const zoom = Math.max(2, Math.floor(240 / Math.max(tile.rows, tile.columns)));
		const source = `data:image/png;base64,${toPng(tile, scale).toString("base64")}`;
		const size = `width="${tile.columns * zoom}" height="${Math.max(tile.rows * zoom, 6)}"`;
		const caption = numTiles > 1 ? `<figcaption style="font-size:80%">${leadingIndex(tensor, i)}</figcaption>` : "";
		return `<figure style="margin:4px 8px 4px 0">${caption}<img alt="heat map" ${size} style="image-rendering:pixelated;border:1px solid #8888" src="${source}"></figure>`;
	});
	const left = numTiles > maxTiles ? `<div>… ${numTiles} tiles in all</div>` : "";
	const rowName = tensor.axisNames.at(-2);
	const axes =
		rowName === undefined
			? `columns: ${tensor.axisNames.at(-1)}`
			: `rows: ${rowName}, columns: ${tensor.axisNames.at(-1)}`;
	const legend = `<div style="font-size:80%;opacity:.7">${escapeHtml(axes)}; blue −${formatNumber(scale)}, white 0, red ${formatNumber(scale)}, grey NaN</div>`;
	return `${title}<div style="display:flex;flex-wrap:wrap">${tiles.join("")}</div>${left}${legend}`;
}

function leadingIndex(tensor: Tensor, tile: number): string {
	let rest = tile;
	const leading = tensor.shape.slice(0, -2);
	const index = leading.map(() => 0);
	for (let axis = leading.length - 1; axis >= 0; axis--) {
		index[axis] = rest % leading[axis]!;
		rest = Math.floor(rest / leading[axis]!);
	}
	return index.map((i, axis) => `${tensor.axisNames[axis]} ${i}`).join(", ");
}
