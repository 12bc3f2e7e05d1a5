// An executed notebook as one HTML file that opens offline. HTML outputs and HTML in Markdown are kept as they are: a
// page is as trustworthy as the notebook it shows. What a page may never do is reach the network; its policy forbids it.

import { ansiToHtml, escapeHtml } from "./ansi.js";
import { dataUrl, highlight, MarkdownRenderer } from "./html-markdown.js";
import { pageStyle } from "./html-style.js";
import type { Cell, MimeData, Notebook, Output } from "./notebook.js";

/** What a page says beside the notebook itself. */
export interface HtmlOptions {
	/** Title of a notebook that has neither a title nor a first heading. */
	title: string;
	/** Folder of the notebook, for the images that its Markdown shows. */
	folder: string;
	/** A line under the last cell, such as when and where it ran. */
	footer?: string;
}

const contentPolicy = [
	"default-src 'none'",
	"img-src data: blob:",
	"media-src data:",
	"font-src data:",
	"style-src 'unsafe-inline'",
	"script-src 'unsafe-inline'",
	"form-action 'none'",
	"base-uri 'none'",
].join("; ");

/** Gives the page. */
export function notebookToHtml(notebook: Notebook, options: HtmlOptions): string {
	const markdown = new MarkdownRenderer(options.folder);
	const language = notebook.metadata.language_info?.name ?? notebook.metadata.kernelspec?.language;
	const cells = notebook.cells.map((cell) => renderCell(cell, markdown, language)).join("\n");
	const title =
		notebook.metadata.title ?? decode(markdown.headings.find(({ level }) => level === 1)?.text) ?? options.title;
	const contents = markdown.headings.filter(({ level }) => level === 2 || level === 3);
	const links = contents.map(
		({ id, text, level }) => `<a class="level-${level}" href="#${escapeHtml(id)}">${text}</a>`,
	);
	const nav = links.length > 2 ? `<nav aria-label="Contents">${links.join("\n")}</nav>` : "";
	return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${contentPolicy}">
<meta name="generator" content="octavo">
<title>${escapeHtml(title)}</title>
<style>${pageStyle}</style>
</head>
<body>
${nav}
<main>
${cells}
${options.footer ? `<footer>${escapeHtml(options.footer)}</footer>` : ""}
</main>
</body>
</html>
`;
}

function renderCell(cell: Cell, markdown: MarkdownRenderer, language: string | undefined): string {
	if (cell.cell_type === "markdown") return `<section class="markdown">${markdown.render(cell)}</section>`;
	if (cell.cell_type === "raw") return `<section class="raw"><pre>${escapeHtml(cell.source)}</pre></section>`;
	const outputs = (cell.outputs ?? []).map((output) => renderOutput(output, markdown)).join("\n");
	const count = cell.execution_count ?? " ";
	return `<section class="cell">
<div class="prompt" aria-hidden="true">${count}</div>
<pre class="code"><code>${highlight(cell.source.replace(/\n+$/, ""), language)}</code></pre>
${outputs === "" ? "" : `<div class="outputs">${outputs}</div>`}
</section>`;
}

function renderOutput(output: Output, markdown: MarkdownRenderer): string {
	switch (output.output_type) {
		case "stream":
			return `<pre class="stream ${output.name === "stderr" ? "stderr" : "stdout"}">${ansiToHtml(output.text.replace(/\n$/, ""))}</pre>`;
		case "error":
			return `<pre class="error">${ansiToHtml(output.traceback.join("\n") || `${output.ename}: ${output.evalue}`)}</pre>`;
		default:
			return `<div class="output">${renderData(output.data, markdown)}</div>`;
	}
}

// The richest format that works with no more than the page itself.
function renderData(data: MimeData, markdown: MarkdownRenderer): string {
	if (typeof data["text/html"] === "string") return `<div class="html">${data["text/html"]}</div>`;
	const image = Object.keys(data).find((mime) => /^image\/(svg\+xml|png|jpeg|gif|webp)$/.test(mime));
	const alt = escapeHtml(String(data["text/plain"] ?? "image"));
	if (image !== undefined) return `<img src="${escapeHtml(dataUrl(image, data[image]))}" alt="${alt}">`;
	if (typeof data["text/markdown"] === "string")
		return `<div class="markdown">${markdown.renderText(data["text/markdown"])}</div>`;
	if (data["text/plain"] !== undefined) return `<pre>${ansiToHtml(String(data["text/plain"]))}</pre>`;
	return `<pre>${escapeHtml(JSON.stringify(data, null, 2))}</pre>`;
}

// Heading text is HTML already; a title is escaped again.
function decode(html: string | undefined): string | undefined {
	const entities: Record<string, string> = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'" };
	return html?.replace(/&(?:amp|lt|gt|quot|#39);/g, (entity) => entities[entity]!);
}
