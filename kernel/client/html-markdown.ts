// Markdown cells → HTML. Images become part of the page: attachments and files beside the notebook as data, and one from
// the network only a link, since the page must open offline.

import { readFileSync, realpathSync, statSync } from "node:fs";
import { extname, join, relative } from "node:path";
import hljs from "highlight.js/lib/common";
import { Marked } from "marked";
import { escapeHtml } from "./ansi.js";
import type { Cell, MimeData } from "./notebook.js";

/** A heading that the page's table of contents names. */
export interface Heading {
	id: string;
	text: string;
	level: number;
}

const imageTypes: Partial<Record<string, string>> = {
	".png": "image/png",
	".jpg": "image/jpeg",
	".jpeg": "image/jpeg",
	".gif": "image/gif",
	".webp": "image/webp",
	".svg": "image/svg+xml",
};
const maxImageBytes = 16 * 1024 * 1024;

/** Renders the Markdown cells of one notebook; heading ids are unique within it. */
export class MarkdownRenderer {
	/** Headings so far, in order. */
	readonly headings: Heading[] = [];
	readonly #folder: string;
	readonly #ids = new Set<string>();
	#attachments: Record<string, MimeData> = {};
	readonly #marked: Marked;

	/** @param folder where relative image paths start; nothing outside it is read */
	constructor(folder: string) {
		this.#folder = folder;
		this.#marked = new Marked({
			gfm: true,
			renderer: {
				code: ({ text, lang }) => `<pre class="code"><code>${highlight(text, lang?.split(/\s/)[0])}</code></pre>\n`,
				heading: ({ tokens, depth, text }) =>
					this.#heading(this.#marked.parseInline(text) as string, tokens.length > 0 ? depth : 1),
				image: ({ href, text }) => this.#image(href, text),
			},
		});
	}

	/** Gives the HTML of a Markdown cell. */
	render(cell: Cell): string {
		return this.renderText(cell.source, cell.attachments);
	}

	/** Gives the HTML of Markdown text. */
	renderText(text: string, attachments: Record<string, MimeData> = {}): string {
		this.#attachments = attachments;
		return this.#marked.parse(text, { async: false });
	}

	#heading(html: string, level: number): string {
		const text = html.replace(/<[^>]*>/g, "");
		const stem =
			text
				.replace(/&[^;]*;/g, "")
				.toLowerCase()
				.replace(/[^\p{L}\p{N}]+/gu, "-")
				.replace(/^-|-$/g, "") || "section";
		let id = stem;
		for (let i = 2; this.#ids.has(id); i++) id = `${stem}-${i}`;
		this.#ids.add(id);
		this.headings.push({ id, text, level });
		return `<h${level} id="${escapeHtml(id)}">${html}</h${level}>\n`;
	}

	#image(href: string, text: string): string {
		const source = href.startsWith("data:image/") ? href : (this.#attachment(href) ?? this.#file(href));
		if (source !== undefined) return `<img src="${escapeHtml(source)}" alt="${escapeHtml(text)}">`;
		const target = /^https?:/.test(href) ? ` href="${escapeHtml(href)}"` : "";
		return `<a${target}>${escapeHtml(text || href)}</a>`;
	}

	#attachment(href: string): string | undefined {
		if (!href.startsWith("attachment:")) return undefined;
		const data = this.#attachments[decodeURIComponent(href.slice("attachment:".length))];
		const found = Object.entries(data ?? {}).find(([mime]) => mime.startsWith("image/"));
		return found ? dataUrl(found[0], found[1]) : undefined;
	}

	#file(href: string): string | undefined {
		const type = imageTypes[extname(href).toLowerCase()];
		if (type === undefined || /^[a-z][a-z0-9+.-]*:/i.test(href)) return undefined;
		try {
			const file = realpathSync(join(this.#folder, decodeURIComponent(href)));
			const isInside = !relative(realpathSync(this.#folder), file).startsWith("..");
			if (!isInside || statSync(file).size > maxImageBytes) return undefined;
			return `data:${type};base64,${readFileSync(file).toString("base64")}`;
		} catch {
			return undefined;
		}
	}
}

/** Gives highlighted, escaped HTML of code; plain when the language is unknown. */
export function highlight(code: string, language: string | undefined): string {
	if (language === undefined || !hljs.getLanguage(language)) return escapeHtml(code);
	return hljs.highlight(code, { language, ignoreIllegals: true }).value;
}

/** Gives a data URL of an image output: SVG is text, the others are base64. */
export function dataUrl(mime: string, content: unknown): string {
	const text = String(content);
	const base64 = mime === "image/svg+xml" ? Buffer.from(text).toString("base64") : text.replace(/\s/g, "");
	return `data:${mime};base64,${base64}`;
}
