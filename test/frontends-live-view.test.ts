// Live views in Notebook 6, in a headless browser with the network closed: the buttons appear, step, and the picture
// follows; so does a table that is sorted. OCTAVO_SCREENSHOTS names a folder for pictures of the page.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { jupyterEnvironment, missing, programs, writeNotebook } from "./frontends/jupyter.js";
import { openNotebook } from "./frontends/notebook-page.js";

const timeout = 400_000;
let folder: string;
let env: NodeJS.ProcessEnv;

before(() => {
	folder = mkdtempSync(join(tmpdir(), "octavo-live-view-"));
	env = jupyterEnvironment(folder);
});

after(() => rmSync(folder, { recursive: true, force: true }));

test("Notebook 6: a view's buttons step, and its picture follows", {
	skip: missing("notebook", programs.python, programs.chromium),
	timeout,
}, async () => {
	const path = join(folder, "view.ipynb");
	writeNotebook(path, [
		"import { hardware, loadModel, policies, schedules } from 'octavo';\n" +
			"const model = await loadModel();\n" +
			"const session = model.session({ blockSize: 8, policy: policies.pagedEviction({ budget: 64 }), seed: 7, history: 64 });\n" +
			"await session.prefill(Array.from({ length: 90 }, (_, i) => 1 + (i % 100)));\nsession.view()",
		"const iteration = hardware.simulateIteration(schedules.deepOptimizerStates(schedules.publishedConfiguration('7B'), { updateStride: 2 }), hardware.profileByName('h100-4x'));\niteration.view()",
		"session.layer(3).blockTable",
	]);
	const opened = await openNotebook(path, env);
	try {
		const { page } = opened;
		await page.evaluate("Jupyter.notebook.execute_all_cells()");
		const view = (nth: number) => page.locator(".code_cell").nth(nth).locator(".octavo-view");
		for (const nth of [0, 1]) {
			await view(nth).locator(".octavo-controls").waitFor({ state: "visible", timeout: 90_000 });
			await view(nth).locator("[data-action=step]").click();
		}
		await page.getByText(/^91 tokens: /).waitFor();
		await page.getByText(/^1 of \d+ tasks taken; at 0\.0 ms/).waitFor();
		await view(1).locator("[data-action=run]").click();
		await page.getByText(/^(\d+) of \1 tasks taken/).waitFor();
		await view(1).locator("[data-action=back]").click();
		await view(0).locator("[data-action=back]").click();
		await page.getByText(/^90 tokens: /).waitFor();
		assert.equal(await view(0).count(), 1, "the picture is replaced, not added to");
		const table = page.locator(".code_cell").nth(2).locator(".octavo-table");
		await table.getByText("score", { exact: true }).click();
		await table.locator("th[aria-sort=ascending]").waitFor();
		if (process.env.OCTAVO_SCREENSHOTS) {
			await page.screenshot({ path: join(process.env.OCTAVO_SCREENSHOTS, "live-view.png") });
			await table.screenshot({ path: join(process.env.OCTAVO_SCREENSHOTS, "live-table.png") });
		}
	} finally {
		await opened.close();
	}
});
