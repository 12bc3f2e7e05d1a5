// The page of an executed notebook: complete, escaped, with nothing to fetch.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ansiToHtml } from "../kernel/client/ansi.js";
import { notebookToHtml } from "../kernel/client/html.js";
import { checkNotebook } from "../kernel/client/notebook.js";

const esc = String.fromCharCode(27);
const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

function page(cells: object[], folder = "/nonexistent"): string {
	const metadata = { language_info: { name: "typescript" } };
	return notebookToHtml(checkNotebook({ nbformat: 4, nbformat_minor: 5, metadata, cells }), { title: "file", folder });
}

function code(outputs: object[], source = "1"): object {
	return { cell_type: "code", source, metadata: {}, outputs, execution_count: 3 };
}

function markdown(source: string, more: object = {}): object {
	return { cell_type: "markdown", source, metadata: {}, ...more };
}

test("terminal text keeps its words, gets its colours and loses other control sequences", () => {
	assert.equal(ansiToHtml("plain words, twice"), "plain words, twice");
	assert.equal(ansiToHtml(`${esc}[31mred${esc}[39m on`), '<span style="color:var(--ansi-red)">red</span> on');
	assert.equal(
		ansiToHtml(`${esc}[1;38;5;196mx${esc}[0my`),
		'<span class="ansi-bold" style="color:rgb(255,0,0)">x</span>y',
	);
	assert.equal(ansiToHtml(`${esc}[48;2;1;2;3mx`), '<span style="background:rgb(1,2,3)">x</span>');
	assert.equal(ansiToHtml(`a${esc}[2Kb${esc}]0;title${String.fromCharCode(7)}c`), "abc");
});

test("carriage returns and backspaces overwrite", () => {
	assert.equal(ansiToHtml("10%\r50%\r100%\ndone"), "100%\ndone");
	assert.equal(ansiToHtml("one\r\ntwo\r\n"), "one\ntwo\n");
	const back = String.fromCharCode(8);
	assert.equal(ansiToHtml(`abc${back}${back}X`), "aX");
});

test("text from outputs, sources and titles is escaped", () => {
	const hostile = `</pre><script>alert("1")</script>`;
	const html = page([
		markdown("# A & <b>"),
		code([{ output_type: "stream", name: "stdout", text: hostile }], hostile),
		code([{ output_type: "execute_result", execution_count: 1, data: { "text/plain": hostile }, metadata: {} }]),
		code([{ output_type: "error", ename: "E", evalue: "", traceback: [`${esc}[31m${hostile}`] }]),
		{ cell_type: "raw", source: hostile, metadata: {} },
	]);
	assert.ok(!html.includes("<script>"));
	assert.equal(html.match(/&#60;script&#62;|&lt;script&gt;|&lt;<span[^>]*>script/g)?.length, 5);
});

test("the page forbids the network, and images are part of it", () => {
	const folder = mkdtempSync(join(tmpdir(), "octavo-html-"));
	try {
		writeFileSync(join(folder, "dot.png"), Buffer.from(pixel, "base64"));
		const html = page(
			[
				markdown("![a](attachment:x.png) ![b](dot.png) ![c](../../etc/hostname.png) ![d](https://example.org/d.png)", {
					attachments: { "x.png": { "image/png": pixel } },
				}),
				code([{ output_type: "display_data", data: { "image/svg+xml": "<svg onload='x()'/>" }, metadata: {} }]),
			],
			folder,
		);
		assert.match(html, /http-equiv="Content-Security-Policy" content="default-src 'none';/);
		const sources = [...html.matchAll(/<img src="([^"]{0,40})/g)].map((match) => match[1]);
		assert.equal(sources.length, 3);
		assert.ok(sources.every((source) => source!.startsWith("data:image/")));
		assert.ok(!html.includes("onload"), "SVG is an image, in which no script runs");
		assert.match(html, /<a href="https:&#47;&#47;example.org|<a href="https:\/\/example.org/);
	} finally {
		rmSync(folder, { recursive: true });
	}
});

test("an output shows its richest format, and HTML is kept as it is", () => {
	const html = page([
		code([{ output_type: "display_data", data: { "text/html": "<b>rich</b>", "text/plain": "poor" }, metadata: {} }]),
		code([{ output_type: "display_data", data: { "image/png": pixel, "text/plain": "picture" }, metadata: {} }]),
		code([{ output_type: "display_data", data: { "text/markdown": "*soft*" }, metadata: {} }]),
	]);
	assert.ok(html.includes("<b>rich</b>") && !html.includes("poor"));
	assert.ok(html.includes(`alt="picture"`));
	assert.ok(html.includes("<em>soft</em>"));
});

test("headings get ids of their own, a title and, from three on, a list of contents", () => {
	const html = page([markdown("# Title & more\n## Part\n## Part\n## Other"), markdown("text")]);
	assert.match(html, /<title>Title &#38; more<\/title>/);
	assert.deepEqual(
		[...html.matchAll(/<h2 id="([^"]*)"/g)].map((match) => match[1]),
		["part", "part-2", "other"],
	);
	assert.match(html, /<nav [^>]*><a class="level-2" href="#part">Part<\/a>/);
	assert.match(page([markdown("text")]), /<title>file<\/title>/);
});
