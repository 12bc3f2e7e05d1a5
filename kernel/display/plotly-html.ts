// The HTML twin of a plotly figure, for front ends with no plotly renderer. It works offline: plotly.js itself stands in
// the output of the notebook's first figure, and the others wait for it, in whatever order the page builds its outputs.

import { readFile } from "node:fs/promises";
import type { MimeBundle } from "./mime.js";
import { carrierScript, figureScript } from "./plotly-page.js";

const plotlyMime = "application/vnd.plotly.v1+json";
// Written by build-plotly.mjs beside the compiled file.
const libraryFile = new URL("plotly.js.gz", import.meta.url);

let libraryGzip: Promise<string> | undefined;
let numFigures = 0;

/**
 * Adds `text/html` to a bundle that has a plotly figure and no HTML of its own.
 *
 * @param carry whether this output should hold plotly.js
 * @returns whether it now does
 */
export async function addPlotlyTwin(bundle: MimeBundle, carry: boolean): Promise<boolean> {
	const figure = bundle.data[plotlyMime];
	if (typeof figure !== "object" || figure === null || "text/html" in bundle.data) return false;
	// Ids differ between kernel sessions too: a page may show outputs of several.
	const id = `octavo-figure-${process.pid}-${Date.now().toString(36)}-${numFigures++}`;
	const parts = [
		`<div id="${id}" class="octavo-figure" style="height:${heightOf(figure)}px">${escapeHtml(String(bundle.data["text/plain"]))}</div>`,
		`<script>${figureScript(id, figure)}</script>`,
	];
	if (carry) {
		libraryGzip ??= readFile(libraryFile, "base64");
		parts.push(`<script id="octavo-plotly">${carrierScript(await libraryGzip)}</script>`);
	}
	bundle.data["text/html"] = parts.join("\n");
	return carry;
}

// Space is kept from the start, so that the page does not jump when the figure is drawn.
function heightOf(figure: object): number {
	const { layout } = figure as { layout?: { height?: unknown } };
	const height = Number(layout?.height ?? 450);
	return Number.isFinite(height) ? Math.max(50, Math.min(height, 10_000)) : 450;
}

function escapeHtml(text: string): string {
	return text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]!);
}
