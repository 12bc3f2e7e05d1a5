// A figure as a page of its own that opens offline: plotly.js is inside it.

import { readFile } from "node:fs/promises";
import { gunzipSync } from "node:zlib";

// Written by build-plotly.mjs beside the compiled file.
const libraryFile = new URL("plotly.js.gz", import.meta.url);

/** What the page draws, in plotly's terms. */
export interface PageFigure {
	readonly title: string;
	readonly data: unknown;
	readonly layout: unknown;
	readonly config: unknown;
}

/** Draws once the page is there, by default; `script` may do something else with `figure`. */
const drawScript = 'Plotly.newPlot("figure", figure.data, figure.layout, figure.config);';

/**
 * The page's HTML.
 *
 * @param script runs with plotly.js loaded and the variable `figure`; default: draws it in the element `figure`
 */
export async function figurePage(figure: PageFigure, script = drawScript): Promise<string> {
	// The library is UTF-8 text that has no closing script tag; the figure's text might have one.
	const library = gunzipSync(await readFile(libraryFile)).toString("utf8");
	const json = JSON.stringify(figure).replace(/</g, "\\u003c");
	const title = figure.title.replace(/[&<>]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[c]!);
	return [
		`<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title></head>`,
		'<body style="margin:0 auto;max-width:960px;background:#fff"><div id="figure"></div>',
		`<script>${library}</script>`,
		`<script>const figure = ${json};${script}</script></body></html>\n`,
	].join("\n");
}
