// The kernel in front ends and on servers that others wrote: jupyter console, jupyter nbconvert, Notebook 6 in a browser,
// jupyter_server. Each is skipped where it is not installed. OCTAVO_SCREENSHOTS names a folder for pictures of the page.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";
import { startKernel } from "../kernel/client/connect.js";
import { jupyterEnvironment, missing, programs, writeNotebook } from "./frontends/jupyter.js";
import { startJupyterServer } from "./frontends/jupyter-server.js";
import { openNotebook } from "./frontends/notebook-page.js";
import { startTestServer } from "./helpers/server.js";

const timeout = 400_000;
const main = fileURLToPath(new URL("../kernel/main.js", import.meta.url));
let folder: string;
let env: NodeJS.ProcessEnv;

before(() => {
	folder = mkdtempSync(join(tmpdir(), "octavo-frontends-"));
	env = jupyterEnvironment(folder);
});

after(async () => {
	rmSync(folder, { recursive: true, force: true, maxRetries: 20 });
	const running = () => execFileSync("ps", ["-eo", "args"]).toString().includes(folder);
	// A kernel whose server had to be killed sees that within a second or so, and ends.
	for (const end = Date.now() + 30_000; running() && Date.now() < end; ) await sleep(100);
	assert.ok(!running(), "a process of a front end is still there");
});

test("jupyter console: results, text and errors", {
	skip: missing("jupyter_console", programs.python),
	timeout,
}, () => {
	const cells = [
		"const n: number = 20;",
		"n * 2 + 2",
		`console.log("wörds")`,
		`throw new RangeError("no")`,
		"n.toFixed(1)",
	];
	const { stdout, stderr } = spawnSync(
		programs.python,
		["-m", "jupyter_console", "--kernel", "octavo", "--simple-prompt"],
		{
			env,
			input: `${cells.join("\n")}\n`,
			encoding: "utf8",
			timeout,
		},
	);
	const said = stripVTControlCharacters(stdout + stderr);
	assert.match(said, /Octavo \d+\.\d+\.\d+/);
	assert.match(said, /Out\[2\]: 42/);
	assert.match(said, /wörds/);
	assert.match(said, /RangeError: no[\s\S]*cell \[4\]:1/);
	assert.match(said, /Out\[5\]: '20\.0'/, "the session goes on after an error");
});

test("jupyter nbconvert --execute: a notebook with outputs, and its failure", {
	skip: missing("nbconvert, nbclient", programs.python),
	timeout,
}, () => {
	const convert = (name: string) =>
		spawnSync(
			programs.python,
			["-m", "nbconvert", "--to", "notebook", "--execute", "--output", "done.ipynb", join(folder, name)],
			{ env, encoding: "utf8", timeout },
		);
	writeNotebook(join(folder, "good.ipynb"), [
		`for await (const i of [1, 2]) console.log("line", i);`,
		`new Map([["a", 1]])`,
	]);
	const { status, stderr } = convert("good.ipynb");
	assert.equal(status, 0, stderr);
	const { cells } = JSON.parse(readFileSync(join(folder, "done.ipynb"), "utf8"));
	assert.equal(cells[0].outputs.map((one: { text: string[] }) => one.text.join("")).join(""), "line 1\nline 2\n");
	assert.match(cells[1].outputs[0].data["text/plain"].join(""), /Map\(1\) \{ 'a' => 1 \}/);
	const html = spawnSync(programs.python, ["-m", "nbconvert", "--to", "html", join(folder, "done.ipynb")], {
		env,
		encoding: "utf8",
		timeout,
	});
	assert.equal(html.status, 0, html.stderr);
	const page = readFileSync(join(folder, "done.html"), "utf8");
	assert.match(page, /line 1\nline 2/);
	assert.match(page, /Map\(1\) \{/);
	writeNotebook(join(folder, "bad.ipynb"), [`null!.x`]);
	const failed = convert("bad.ipynb");
	assert.notEqual(failed.status, 0);
	assert.match(failed.stderr, /CellExecutionError/);
});

test("Notebook 6 in a browser: a cell typed and run, a chart drawn offline, interrupt and restart", {
	skip: missing("notebook", programs.python, programs.chromium),
	timeout,
}, async () => {
	const path = join(folder, "page.ipynb");
	writeNotebook(path, [
		"",
		`import { chart } from "octavo";\nchart.accuracy([{ policy: "full", score: 1 }, { policy: "random", budget: 32, score: 0.25 }, { policy: "random", budget: 64, score: 0.5 }])`,
	]);
	const opened = await openNotebook(path, env);
	try {
		const { page } = opened;
		await page.locator(".code_cell .CodeMirror").first().click();
		await page.keyboard.type(`const words: string[] = ["typed", "and", "run"];`);
		await page.keyboard.press("Enter");
		await page.keyboard.type(`words.join(" ")`);
		await page.keyboard.press("Shift+Enter");
		const output = page.locator(".code_cell").first().locator(".output_result pre");
		await output.waitFor({ timeout: 60_000 });
		assert.match((await output.textContent()) ?? "", /'typed and run'/);
		assert.equal(await page.locator(".output_stderr").count(), 0);
		await page.keyboard.press("Shift+Enter");
		const drawn = page.locator(".code_cell").nth(1).locator(".js-plotly-plot .main-svg").first();
		await drawn.waitFor({ timeout: 60_000 });
		// Running the last cell made a third; it loops, and the notebook's own keys interrupt it.
		await page.keyboard.type(`console.log("looping"); while (true);`);
		await page.keyboard.press("Control+Enter");
		const third = page.locator(".code_cell").nth(2);
		await third.locator(".output_stdout").waitFor({ timeout: 30_000 });
		await page.keyboard.press("i");
		await page.keyboard.press("i");
		await third.locator(".output_error").waitFor({ timeout: 30_000 });
		assert.match((await third.locator(".output_error").textContent()) ?? "", /Interrupted/);
		await page.evaluate(
			"new Promise((done) => { Jupyter.notebook.kernel.restart(); Jupyter.notebook.events.one('kernel_ready.Kernel', done); })",
		);
		await page.locator(".code_cell .CodeMirror").first().click();
		await page.keyboard.press("Control+Enter");
		await page.waitForFunction("Jupyter.notebook.get_cell(0).input_prompt_number === 1", undefined, {
			timeout: 30_000,
		});
		if (process.env.OCTAVO_SCREENSHOTS) {
			await page.screenshot({ path: join(process.env.OCTAVO_SCREENSHOTS, "notebook-6.png") });
		}
	} finally {
		await opened.close();
	}
});

for (const module of ["notebook", "jupyter_server"] as const) {
	test(`octavo run against the server of ${module}`, { skip: missing(module, programs.python), timeout }, async () => {
		const path = join(folder, `on-${module}.ipynb`);
		writeNotebook(path, [`console.log("line");`, `await new Promise((r) => setTimeout(r, 10)); 6 * 7`]);
		const server = await startJupyterServer(module, folder, env);
		try {
			const address = ["--server", server.origin, "--token", server.token, "--output", path];
			const { status, stderr } = spawnSync(process.execPath, [main, "run", path, ...address], {
				encoding: "utf8",
				timeout,
			});
			assert.equal(status, 0, stderr);
			const [first, second] = JSON.parse(readFileSync(path, "utf8")).cells;
			assert.equal(first.outputs[0].text.join(""), "line\n");
			assert.equal(second.outputs[0].data["text/plain"].join(""), "42");
		} finally {
			await server.close();
		}
	});
}

test("the server runs kernels of other languages too", {
	skip: missing("ipykernel", programs.python),
	timeout,
}, async () => {
	const it = await startTestServer();
	try {
		const kernel = await startKernel(it.server, "python3");
		const future = kernel.connection.requestExecute({ code: "import sys; print(sys.version_info.major)" });
		let said = "";
		future.onIOPub = ({ header, content }) => {
			if (header.msg_type === "stream") said += (content as { text: string }).text;
		};
		await future.done;
		assert.equal(said, "3\n");
		await kernel.dispose();
	} finally {
		await it.close();
	}
});
