// The HTML twin of figures in a real browser, with the network closed: outputs as notebook pages build them.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Page } from "playwright-core";
import { createDisplay } from "../kernel/display/index.js";
import * as chart from "../sdk/chart/index.js";
import { skipWithoutBrowser, startBrowser } from "./helpers/browser.js";
import { syntheticTrace } from "./helpers/synthetic-trace.js";

const browser = startBrowser();

/** HTML of figures as a session would give them: the first carries plotly.js. */
async function outputs(count: number): Promise<string[]> {
	const display = createDisplay();
	const trace = syntheticTrace();
	const pages: string[] = [];
	for (let i = 0; i < count; i++) {
		const figure = i % 2 === 0 ? chart.blockMap(trace) : chart.blockScores(trace, { step: 4 });
		pages.push((await display.toMimeBundle(figure)).data["text/html"] as string);
	}
	return pages;
}

/** Opens a page with no network; `errors` collects what goes wrong in it. */
async function open(content: string): Promise<{ page: Page; errors: string[] }> {
	const page = await browser().newPage({ viewport: { width: 900, height: 900 } });
	const errors: string[] = [];
	page.on("pageerror", (error) => errors.push(error.message));
	page.on("request", (request) => errors.push(`request: ${request.url().slice(0, 100)}`));
	await page.route("**/*", (route) => route.abort());
	await page.setContent(content, { waitUntil: "load" });
	return { page, errors };
}

/** How many figures are drawn, once that many are or a minute is up: the page unpacks plotly.js first, slowly where it is busy. */
async function numDrawn(page: Page, expected: number): Promise<number> {
	const drawn = page.locator(".octavo-figure:has(.main-svg)");
	for (const end = Date.now() + 60_000; Date.now() < end && (await drawn.count()) < expected; ) {
		await page.waitForTimeout(20);
	}
	return drawn.count();
}

// These run in the page, as text: its types are not Node's.
const countColors = `async (base64) => {
	const image = new Image();
	image.src = "data:image/png;base64," + base64;
	await image.decode();
	const canvas = document.createElement("canvas");
	canvas.width = image.width;
	canvas.height = image.height;
	const context = canvas.getContext("2d");
	context.drawImage(image, 0, 0);
	const { data } = context.getImageData(0, 0, image.width, image.height);
	const seen = new Map();
	for (let i = 0; i < data.length; i += 4) {
		const color = (data[i] << 16) | (data[i + 1] << 8) | data[i + 2];
		seen.set(color, (seen.get(color) ?? 0) + 1);
	}
	return [...seen.values()].filter((count) => count > 100).length;
}`;

// As Jupyter front ends do: the markup first, then each script anew.
const appendOutput = `(html) => {
	const output = document.createElement("div");
	output.innerHTML = html;
	document.body.append(output);
	for (const old of output.querySelectorAll("script")) {
		const fresh = document.createElement("script");
		fresh.id = old.id;
		fresh.textContent = old.textContent;
		old.replaceWith(fresh);
	}
}`;

const call = (page: Page, source: string, argument: string): Promise<unknown> =>
	page.evaluate(`(${source})(${JSON.stringify(argument)})`);

/** How many colours of areas, not of the edges of letters, a figure shows. */
async function numColors(page: Page, index: number): Promise<number> {
	const png = await page.locator(".octavo-figure").nth(index).screenshot();
	return (await call(page, countColors, png.toString("base64"))) as number;
}

test("two figures in one page share one plotly.js, offline", { skip: skipWithoutBrowser }, async () => {
	const { page, errors } = await open((await outputs(2)).join("\n"));
	assert.equal(await numDrawn(page, 2), 2);
	assert.equal(await page.locator("#octavo-plotly").count(), 1);
	assert.ok((await numColors(page, 0)) >= 8, "block map has its colours");
	assert.ok((await numColors(page, 1)) >= 4, "bars have their colours");
	assert.deepEqual(errors, []);
	await page.close();
});

test("a figure that stands before the one with plotly.js is drawn once that arrives", {
	skip: skipWithoutBrowser,
}, async () => {
	const [carrier, other] = await outputs(2);
	const { page, errors } = await open(other!);
	await page.waitForFunction("document.body.textContent.includes('waits for plotly.js')");
	assert.equal(await numDrawn(page, 0), 0);
	await call(page, appendOutput, carrier!);
	assert.equal(await numDrawn(page, 2), 2);
	assert.equal(await page.getByText("waits for plotly.js").count(), 0);
	assert.deepEqual(errors, []);
	await page.close();
});

test("plotly.js gets past a module loader and leaves the page's own Plotly alone", {
	skip: skipWithoutBrowser,
}, async () => {
	const loader =
		"<script>window.define = function () { throw new Error('define called'); }; define.amd = {}; window.module = { exports: {} }; window.exports = module.exports; window.Plotly = 'mine';</script>";
	const { page, errors } = await open(loader + (await outputs(1)).join(""));
	assert.equal(await numDrawn(page, 1), 1);
	assert.equal(await page.evaluate("window.Plotly"), "mine");
	assert.deepEqual(await page.evaluate("Object.keys(window.module.exports)"), []);
	assert.deepEqual(errors, []);
	await page.close();
});

test("an output in a frame of its own finds plotly.js in the frame beside it", {
	skip: skipWithoutBrowser,
}, async () => {
	const frames = (await outputs(2)).map(
		(html) =>
			`<iframe width="850" height="420" srcdoc="${html.replaceAll("&", "&amp;").replaceAll('"', "&quot;")}"></iframe>`,
	);
	const { page, errors } = await open(frames.join(""));
	await page.frameLocator("iframe >> nth=1").locator(".main-svg").first().waitFor();
	assert.equal(await page.frameLocator("iframe >> nth=0").locator(".octavo-figure:has(.main-svg)").count(), 1);
	assert.deepEqual(
		errors.filter((error) => !error.includes("about:srcdoc")),
		[],
	);
	await page.close();
});

test("the same output twice in a page is drawn twice", { skip: skipWithoutBrowser }, async () => {
	const [carrier] = await outputs(1);
	const { page } = await open(carrier! + carrier!);
	assert.equal(await numDrawn(page, 2), 2);
	await page.close();
});

test("text takes the page's colour, on light and on dark", { skip: skipWithoutBrowser }, async () => {
	for (const color of ["rgb(20, 20, 20)", "rgb(230, 230, 230)"]) {
		const { page } = await open(`<body style="color:${color}">${(await outputs(1)).join("")}`);
		assert.equal(await numDrawn(page, 1), 1);
		const fill = await page.evaluate("getComputedStyle(document.querySelector('.gtitle')).fill");
		assert.equal(fill, color);
		await page.close();
	}
});
