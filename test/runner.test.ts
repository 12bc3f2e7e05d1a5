// octavo run, as a user calls it: exit status, what it prints, what it writes, and that nothing stays behind.

import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { KernelMessage } from "@jupyterlab/services";
import { checkNotebook, formatNotebook, type Notebook } from "../kernel/client/notebook.js";
import { DisplayRegistry, OutputCollector } from "../kernel/client/outputs.js";
import { startTestServer } from "./helpers/server.js";

const main = fileURLToPath(new URL("../kernel/main.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "octavo-runner-test-"));

after(() => rmSync(folder, { recursive: true, force: true }));

function notebookFile(name: string, sources: (string | { source: string; tags: string[] })[], kernel?: string): string {
	const cells = sources.map((source) => ({
		cell_type: "code",
		source: typeof source === "string" ? source : source.source,
		metadata: typeof source === "string" ? {} : { tags: source.tags },
		outputs: [],
		execution_count: null,
	}));
	const metadata = kernel === undefined ? {} : { kernelspec: { name: kernel, display_name: kernel } };
	const path = join(folder, `${name}.ipynb`);
	writeFileSync(path, JSON.stringify({ cells, metadata, nbformat: 4, nbformat_minor: 4 }));
	return path;
}

interface Ended {
	status: number | null;
	stderr: string;
}

function start(args: string[]): { child: ChildProcess; ended: Promise<Ended> } {
	const child = spawn(process.execPath, [main, "run", ...args], { stdio: ["ignore", "pipe", "pipe"] });
	let stderr = "";
	child.stderr!.on("data", (text: Buffer) => {
		stderr += text;
	});
	const ended = new Promise<Ended>((resolve) => child.on("close", (status) => resolve({ status, stderr })));
	return { child, ended };
}

function run(...args: string[]): Promise<Ended> {
	return start(args).ended;
}

function read(path: string): Notebook {
	return checkNotebook(JSON.parse(readFileSync(path, "utf8")));
}

test("a notebook runs: outputs collected, written, rendered, and the source file untouched", async () => {
	const path = notebookFile("good", [
		`const x: number = 20; console.log("one"); console.log("two"); console.error("three"); console.log("four")`,
		"  \n",
		"x * 2 + 2",
		`({ [Symbol.for("Jupyter.display")]: () => ({ "text/html": "<b>a</b>", "text/plain": "a" }) })`,
	]);
	const before = readFileSync(path, "utf8");
	const [output, html] = [join(folder, "made", "out.ipynb"), join(folder, "made", "out.html")];
	const { status, stderr } = await run(path, "--output", output, "--html", html);
	assert.equal(status, 0, stderr);
	assert.match(stderr, /cell 3\/3/);
	assert.equal(readFileSync(path, "utf8"), before);

	const raw = JSON.parse(readFileSync(output, "utf8"));
	assert.deepEqual([raw.nbformat, raw.nbformat_minor, raw.metadata.language_info.name], [4, 5, "typescript"]);
	assert.ok(raw.cells.every((cell: { id: string }) => /^[\w-]{1,64}$/.test(cell.id)));
	assert.deepEqual(raw.cells[0].outputs[0].text, ["one\n", "two\n"]);
	const { cells } = read(output);
	assert.deepEqual(
		cells[0]!.outputs!.map((one) => one.output_type === "stream" && [one.name, one.text]),
		[
			["stdout", "one\ntwo\n"],
			["stderr", "three\n"],
			["stdout", "four\n"],
		],
	);
	assert.deepEqual(
		cells.map((cell) => cell.execution_count),
		[1, null, 2, 3],
	);
	assert.deepEqual(cells[2]!.outputs, [
		{ output_type: "execute_result", execution_count: 2, data: { "text/plain": "42" }, metadata: {} },
	]);
	assert.match(readFileSync(html, "utf8"), /<b>a<\/b>/);
});

test("the first failing cell ends the run with status 1 and is shown, with its line", async () => {
	const path = notebookFile("bad", [`console.log("fine")`, "const a = 1;\nthrow new RangeError(`a is ` + a);\n", "3"]);
	const output = join(folder, "bad-out.ipynb");
	const { status, stderr } = await run(path, "--output", output);
	assert.equal(status, 1);
	assert.match(stderr, /bad\.ipynb: cell 2 failed: RangeError: a is 1/);
	assert.match(stderr, /^ {2}1 \| const a = 1;\n> 2 \| throw new RangeError/m);
	assert.ok(!stderr.includes("\u001b"), "colours go to terminals only");
	const [first, second, third] = read(output).cells;
	assert.equal(first!.outputs!.length, 1);
	assert.equal(second!.outputs![0]!.output_type, "error");
	assert.deepEqual([third!.outputs, third!.execution_count], [[], null]);
});

test("a cell that does not compile fails like one that throws", async () => {
	const { status, stderr } = await run(notebookFile("types", ["1", `const n: number =\n  "text";`]));
	assert.equal(status, 1);
	assert.match(stderr, /cell 2 failed/);
	assert.match(stderr, /^> 1 \| const n/m);
});

test("--allow-errors and the raises-exception tag go on; skip-execution skips", async () => {
	const tagged = notebookFile("tagged", [
		{ source: `throw new Error("expected")`, tags: ["raises-exception"] },
		{ source: `throw new Error("never run")`, tags: ["skip-execution"] },
		"7",
	]);
	const output = join(folder, "tagged-out.ipynb");
	assert.equal((await run(tagged, "--output", output)).status, 0);
	assert.deepEqual(
		read(output).cells.map((cell) => cell.outputs!.map((one) => one.output_type)),
		[["error"], [], ["execute_result"]],
	);
	const { status } = await run(notebookFile("allowed", [`throw new Error("x")`, "1"]), "--allow-errors");
	assert.equal(status, 0);
});

test("a cell that runs too long is interrupted and fails", async () => {
	const { status, stderr } = await run(notebookFile("slow", ["for (;;) {}", "1"]), "--timeout", "2");
	assert.equal(status, 1);
	assert.match(stderr, /cell 1 failed: timeout: The cell ran longer than 2 s/);
});

test("Ctrl-C interrupts the cell, writes what there is, exits with 130 and leaves no process", async () => {
	const begun = join(folder, "endless-begun");
	const write = `import { writeFileSync } from "node:fs"; writeFileSync(${JSON.stringify(begun)}, "");`;
	const path = notebookFile("endless", [`console.log("begun")`, `${write}\nfor (;;) {}`]);
	const output = join(folder, "endless-out.ipynb");
	const { child, ended } = start([path, "--output", output]);
	while (!existsSync(begun) && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 20));
	child.kill("SIGINT");
	const { status, stderr } = await ended;
	assert.equal(status, 130, stderr);
	assert.equal(read(output).cells[0]!.outputs!.length, 1);
	const running = execFileSync("ps", ["-eo", "ppid,args"]).toString();
	assert.ok(!running.split("\n").some((line) => line.trim().startsWith(`${child.pid} `)));
});

test("bad notebooks, kernels and servers are told apart by code, with status 2", async () => {
	writeFileSync(join(folder, "not-json.ipynb"), "{");
	writeFileSync(join(folder, "old.ipynb"), JSON.stringify({ nbformat: 3, worksheets: [] }));
	writeFileSync(
		join(folder, "cells.ipynb"),
		JSON.stringify({ nbformat: 4, cells: [{ cell_type: "code", source: 5 }] }),
	);
	const good = notebookFile("plain", ["1"]);
	const cases: [string[], RegExp][] = [
		[[join(folder, "none.ipynb")], /\[ERR_OCTAVO_NOTEBOOK_MISSING\]/],
		[[join(folder, "not-json.ipynb")], /\[ERR_OCTAVO_NOTEBOOK_JSON\]/],
		[[join(folder, "old.ipynb")], /nbformat 4 .* but received 3 \[ERR_OCTAVO_NOTEBOOK_FORMAT\]/],
		[[join(folder, "cells.ipynb")], /source of cell 1 .*\[ERR_OCTAVO_NOTEBOOK_FORMAT\]/],
		[
			[notebookFile("stranger", ["1"], "no-such-kernel")],
			/octavo.*but received "no-such-kernel".*\[ERR_OCTAVO_KERNEL_NAME\]/,
		],
		[[good, "--server", "http://127.0.0.1:9/"], /\[ERR_OCTAVO_SERVER_CONNECT\]/],
		[[good, "--server", "ftp://x"], /\[ERR_OCTAVO_SERVER_URL\]/],
		[[good, "--output", join(good, "x.ipynb")], /\[ERR_OCTAVO_OUTPUT\]/],
		[[good, "--html", folder], /\[ERR_OCTAVO_OUTPUT\]/],
		[[good, "--output", "/proc/none/x.ipynb"], /\[ERR_OCTAVO_OUTPUT\]/],
	];
	for (const [args, expected] of cases) {
		const { status, stderr } = await run(...args);
		assert.equal(status, 2, `${args.join(" ")}: ${stderr}`);
		assert.match(stderr, expected);
		assert.ok(!/^\s+at /m.test(stderr), `a stack trace for ${args.join(" ")}`);
	}
	assert.notEqual((await run(good, "--timeout", "soon")).status, 0);
});

test("a notebook runs on another server, with its token and not without", async () => {
	const other = await startTestServer();
	try {
		const path = notebookFile("elsewhere", ["process.cwd()"]);
		const output = join(folder, "elsewhere-out.ipynb");
		const done = await run(path, "--server", other.server.url, "--token", other.server.token, "--output", output);
		assert.equal(done.status, 0, done.stderr);
		assert.match(JSON.stringify(read(output).cells[0]!.outputs), new RegExp(other.root));
		const url = `${other.server.url}?token=${other.server.token}`;
		assert.equal((await run(path, "--server", url)).status, 0);
		const refused = await run(path, "--server", other.server.url, "--token", "wrong");
		assert.equal(refused.status, 2);
		assert.match(refused.stderr, /\[ERR_OCTAVO_SERVER_TOKEN\]/);
		assert.deepEqual((await other.call("GET", "/api/kernels")).json, [], "the runs left kernels behind");
	} finally {
		await other.close();
	}
});

test("displays are replaced by id, from any cell, and a clear may wait", () => {
	const displays = new DisplayRegistry();
	const message = (msg_type: string, content: object) =>
		({ header: { msg_type }, content }) as KernelMessage.IIOPubMessage;
	const shown = (text: string, id?: string) => ({
		data: { "text/plain": text },
		metadata: {},
		...(id ? { transient: { display_id: id } } : {}),
	});
	const first = new OutputCollector(displays);
	first.take(message("display_data", shown("old", "d")));
	const second = new OutputCollector(displays);
	second.take(message("stream", { name: "stdout", text: "a" }));
	second.take(message("clear_output", { wait: true }));
	assert.equal(second.outputs.length, 1, "it waits");
	second.take(message("update_display_data", shown("new", "d")));
	second.take(message("stream", { name: "stdout", text: "b" }));
	assert.deepEqual(second.outputs, [{ output_type: "stream", name: "stdout", text: "b" }]);
	assert.deepEqual(first.outputs, [{ output_type: "display_data", data: { "text/plain": "new" }, metadata: {} }]);
	second.take(message("clear_output", { wait: false }));
	assert.deepEqual(second.outputs, []);
});

test("reading and writing a notebook changes nothing but its spelling", () => {
	const notebook = {
		cells: [
			{ cell_type: "markdown", id: "a", metadata: {}, source: ["# T\n", "\n", "text"] },
			{
				cell_type: "code",
				execution_count: 1,
				id: "b",
				metadata: { tags: ["x"] },
				outputs: [
					{ name: "stdout", output_type: "stream", text: ["1\n", "2"] },
					{
						data: { "application/json": { a: ["x", "y"] }, "image/png": "AAAA" },
						metadata: {},
						output_type: "display_data",
					},
				],
				source: ["1"],
			},
			{ attachments: { "a.png": { "image/png": "AA" } }, cell_type: "raw", id: "c", metadata: {}, source: [] },
		],
		metadata: { title: "T" },
		nbformat: 4,
		nbformat_minor: 5,
	};
	assert.deepEqual(JSON.parse(formatNotebook(checkNotebook(notebook))), notebook);
});
