// The words of HTML: lines, cells, characters by name and number, and hostile texts in time that grows with their length.

import assert from "node:assert/strict";
import { test } from "node:test";
import { wordsOfHtml } from "../kernel/display/html-words.js";

const cases: [html: string, words: string][] = [
	["<b>bold</b> and <i>not</i>", "bold and not"],
	["<p>one</p><p>two<br>three</p><ul><li>four</li></ul>", "one\ntwo\nthree\nfour"],
	["<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>", "a\tb\n1\t2"],
	["<STYLE>p { }</STYLE>x<script>alert('<p>')</script >y<!-- <b>no</b> -->z", "xyz"],
	[
		"a &lt; b &amp;&#38; c &#x1F600; &mdash; &unknown; &constructor; &#x110000;",
		"a < b && c 😀 — &unknown; &constructor; &#x110000;",
	],
	["if a < b then", "if a < b then"],
	["kept<script>left open", "kept"],
	["kept<!-- left open", "kept"],
	["<thead-like>custom</thead-like><break>no</break>", "customno"],
	["", ""],
];

test("words of HTML", () => {
	for (const [html, words] of cases) assert.equal(wordsOfHtml(html), words, html);
});

test("words of HTML that is longer than asked for are those at its beginning, whole characters", () => {
	const html = `<p>${"&#128512;".repeat(50)}</p>${"<i>word</i> ".repeat(1e6)}`;
	const words = wordsOfHtml(html, 200);
	assert.ok(words.startsWith(`${"😀".repeat(50)}\nword word word`), words);
	assert.ok(words.length > 190 && words.length < 220, String(words.length));
	assert.equal(wordsOfHtml("&amp;".repeat(300), 200).slice(0, 200), "&".repeat(200));
});

test("what is left open a million times takes no longer than its length", () => {
	const start = performance.now();
	for (const piece of ["<", "<script>", "<!--", "<p", "&#", "<style></styl>", "\n ", "<br>"])
		wordsOfHtml(piece.repeat(1e6));
	// Some hundreds of milliseconds; each that looked ahead from every piece would take minutes.
	assert.ok(performance.now() - start < 20_000);
});
