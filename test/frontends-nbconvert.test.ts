// A page that nbconvert makes, in a headless browser with the network closed: the live view is there as a picture without
// buttons, the chart is drawn, the table sorts. OCTAVO_SCREENSHOTS names a folder for a picture of the page.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { jupyterEnvironment, missing, programs, writeNotebook } from "./frontends/jupyter.js";
import { launchBrowser } from "./helpers/browser.js";

const timeout = 400_000;
let folder: string;
let env: NodeJS.ProcessEnv;

before(() => {
	folder = mkdtempSync(join(tmpdir(), "octavo-nbconvert-"));
	env = jupyterEnvironment(folder);
});

after(() => rmSync(folder, { recursive: true, force: true }));

test("nbconvert --execute --to html: view, chart and table offline", {
	skip: missing("nbconvert, nbclient", programs.python, programs.chromium),
	timeout,
}, async () => {
	const path = join(folder, "views.ipynb");
	writeNotebook(path, [
		"import { chart, loadModel, policies } from 'octavo';\nconst model = await loadModel();\n" +
			"const session = model.session({ blockSize: 8, policy: policies.pagedEviction({ budget: 64 }), seed: 7 });\n" +
			"await session.prefill(Array.from({ length: 90 }, (_, i) => 1 + (i % 100)));\nsession.view()",
		"session.layer(3).blockTable",
		"chart.blockMap(session.trace)",
		"display.markdown('**bold**'); display.latex('$x^2$');",
	]);
	const args = ["-m", "nbconvert", "--to", "html", "--execute", "--output", "views.html", path];
	const { status, stderr } = spawnSync(programs.python, args, { env, encoding: "utf8", timeout });
	assert.equal(status, 0, stderr);
	const browser = await launchBrowser();
	try {
		const page = await browser.newPage({ viewport: { width: 1100, height: 1600 } });
		const faults: string[] = [];
		page.on("pageerror", ({ message }) => faults.push(message));
		await page.route("**/*", (route) =>
			/^(file|data|blob):/.test(route.request().url()) ? route.continue() : route.abort(),
		);
		await page.goto(pathToFileURL(join(folder, "views.html")).href);
		const view = page.locator(".octavo-view");
		await view.locator("svg").first().waitFor({ state: "visible" });
		assert.equal(await view.count(), 1);
		assert.equal(await view.getByText("step").isVisible(), false, "a button that nothing answers");
		await page.getByText(/^90 tokens: /).waitFor();
		const table = page.locator(".octavo-table");
		await table.getByText("score", { exact: true }).click();
		await table.locator("th[aria-sort=ascending]").waitFor();
		const column = (await table.locator("thead th").allTextContents()).findIndex((text) => text.startsWith("score"));
		const scores = (await table.locator("tbody tr").all()).map(async (row) =>
			Number((await row.locator("td, th").allTextContents())[column]),
		);
		const sorted = await Promise.all(scores);
		assert.equal(sorted.length, 8);
		assert.deepEqual(
			sorted,
			sorted.toSorted((one, other) => one - other),
		);
		assert.ok(new Set(sorted).size > 4);
		await page.locator(".js-plotly-plot .main-svg").first().waitFor({ state: "visible" });
		await page.locator("strong", { hasText: "bold" }).waitFor();
		assert.deepEqual(
			faults.filter((message) => !/require|MathJax/.test(message)),
			[],
		);
		if (process.env.OCTAVO_SCREENSHOTS) {
			await page.screenshot({ path: join(process.env.OCTAVO_SCREENSHOTS, "nbconvert.png"), fullPage: true });
		}
	} finally {
		await browser.close();
	}
});
