// Tables in a real browser, with the network closed: pages and sorting as in a saved notebook, and what stands there
// without scripts.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { type Table, tableFromArrays } from "apache-arrow";
import type { Page } from "playwright-core";
import { tableToHtml } from "../sdk/trace/table-view.js";
import { skipWithoutBrowser, startBrowser } from "./helpers/browser.js";

const browser = startBrowser();

/** Opens a page that holds a table and nothing else; requests fail the test. */
async function open(table: Table, javaScriptEnabled = true): Promise<Page> {
	const page = await browser().newPage({ viewport: { width: 700, height: 640 }, javaScriptEnabled });
	page.on("pageerror", (error) => assert.fail(error.message));
	await page.route("**/*", (route) => route.abort());
	await page.setContent(`<body style="font-family:sans-serif">${tableToHtml(table)}</body>`, { waitUntil: "load" });
	return page;
}

const column = (page: Page, nth: number) => page.locator(`tbody tr td:nth-child(${nth + 2})`).allTextContents();

function example(numRows: number): Table {
	const index = Array.from({ length: numRows }, (_, i) => i);
	return tableFromArrays({
		step: Int32Array.from(index),
		score: Float64Array.from(index, (i) =>
			i === 4 ? Number.NaN : i === 5 ? Number.NEGATIVE_INFINITY : ((i * 37) % numRows) + 1e-9 * i,
		),
		big: BigInt64Array.from(index, (i) => 10n ** 17n + BigInt((i * 7) % numRows)),
		name: index.map((i) => (i % 5 === 3 ? null : `</script><b>${"zyxwvutsrq"[i % 10]}${i}`)),
	});
}

test("pages turn, and the last one is short", { skip: skipWithoutBrowser }, async () => {
	const page = await open(example(47));
	assert.deepEqual((await column(page, 0)).slice(0, 3), ["0", "1", "2"]);
	assert.equal((await column(page, 0)).length, 20);
	await page.getByLabel("next page").click();
	assert.equal((await column(page, 0))[0], "20");
	await page.getByLabel("last page").click();
	assert.deepEqual(await column(page, 0), ["40", "41", "42", "43", "44", "45", "46"]);
	assert.ok(await page.getByLabel("next page").isDisabled());
	await page.getByLabel("first page").click();
	assert.equal((await column(page, 0))[0], "0");
	assert.equal(await page.locator("b").count(), 0, "text of a cell is no HTML");
	await page.close();
});

test("a click on a column sorts all pages: up, down, as it was; empty cells last", {
	skip: skipWithoutBrowser,
}, async () => {
	const table = example(47);
	const page = await open(table);
	const sort = (name: string) => page.locator("th button", { hasText: name }).click();
	const rows = table.toArray().map((row) => row.toJSON());
	await sort("score");
	const scores = await column(page, 1);
	assert.equal(scores[0], "-∞");
	const indices = (await column(page, 0)).map(Number);
	const ascending = rows.filter(({ score }) => !Number.isNaN(score)).sort((a, b) => a.score - b.score);
	assert.deepEqual(
		indices,
		ascending.slice(0, 20).map(({ step }) => step),
	);
	await page.getByLabel("last page").click();
	assert.equal((await column(page, 1)).at(-1), "NaN");
	await sort("score");
	assert.deepEqual(
		(await column(page, 0)).map(Number),
		ascending
			.reverse()
			.slice(0, 20)
			.map(({ step }) => step),
	);
	assert.equal(await page.locator('th[aria-sort="descending"]').textContent(), "score ▼");
	await page.getByLabel("last page").click();
	assert.equal((await column(page, 1)).at(-1), "NaN");
	await sort("score");
	assert.equal((await column(page, 0))[0], "0");
	await sort("big");
	const bigs = rows.map(({ big }) => big as bigint).sort((a, b) => (a < b ? -1 : 1));
	assert.deepEqual(await column(page, 2), bigs.slice(0, 20).map(String));
	await sort("name");
	assert.match((await column(page, 3))[0]!, /q\d+$/);
	await page.getByLabel("last page").click();
	assert.equal((await column(page, 3)).at(-1), "");
	if (process.env.OCTAVO_SCREENSHOTS)
		await page.screenshot({ path: join(process.env.OCTAVO_SCREENSHOTS, "table.png") });
	await page.close();
});

test("a large table pages through its first rows and says so", { skip: skipWithoutBrowser }, async () => {
	const page = await open(tableFromArrays({ a: Int32Array.from({ length: 50_000 }, (_, i) => -i) }));
	assert.match(
		(await page.locator(".octavo-note").textContent())!,
		/^50000 rows × 1 columns; the first 2000 are in this page/,
	);
	await page.getByLabel("last page").click();
	assert.equal((await column(page, 0)).at(-1), "-1999");
	await page.close();
});

test("without scripts the first page stands there", { skip: skipWithoutBrowser }, async () => {
	const page = await open(example(47), false);
	assert.equal((await column(page, 0)).length, 20);
	assert.match((await page.locator(".octavo-note").textContent())!, /47 rows × 4 columns, rows 0 to 19 shown/);
	assert.equal(await page.locator("button").count(), 0);
	await page.close();
});
