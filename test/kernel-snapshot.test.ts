// The worker's start-up snapshot: made once, used by later starts, and done without where it is damaged or not wanted.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { KernelClient } from "./helpers/kernel-client.js";

const cache = mkdtempSync(join(tmpdir(), "octavo-cache-"));
const folder = join(cache, "octavo");
const env = { XDG_CACHE_HOME: cache, OCTAVO_SNAPSHOT: "" };

after(() => rmSync(cache, { recursive: true, force: true }));

const blobs = () => (existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(".blob")) : []);

async function withKernel<T>(more: NodeJS.ProcessEnv, run: (kernel: KernelClient) => Promise<T>): Promise<T> {
	const kernel = await KernelClient.start({ env: { ...env, ...more } });
	try {
		return await run(kernel);
	} finally {
		await kernel.stop();
	}
}

/** Runs a cell and gives its result's text. */
async function value(kernel: KernelClient, code: string): Promise<string | undefined> {
	const { reply, iopub } = await kernel.execute(code);
	assert.equal(reply.status, "ok", reply.evalue);
	return iopub.find(({ type }) => type === "execute_result")?.content.data["text/plain"];
}

const main = join(import.meta.dirname, "..", "kernel", "main.js");

/** Runs `octavo install` with a cache folder of its own. */
function install(home: string, more: NodeJS.ProcessEnv = {}): { status: number | null; stdout: string } {
	return spawnSync(process.execPath, [main, "install", "--prefix", home], {
		encoding: "utf8",
		env: { ...process.env, OCTAVO_SNAPSHOT: "", XDG_CACHE_HOME: home, ...more },
		timeout: 300_000,
	});
}

const flags = "process.execArgv.filter((flag) => flag.includes('snapshot')).length";

test("a kernel that has no snapshot makes one, and a kernel that ends meanwhile leaves nothing half made", async () => {
	await withKernel({}, async (kernel) => {
		assert.equal(await value(kernel, flags), "0");
		const end = Date.now() + 300_000;
		while (blobs().length === 0 && Date.now() < end) await sleep(200);
		assert.equal(blobs().length, 1);
		while (readdirSync(folder).length > 1 && Date.now() < end) await sleep(50);
		assert.deepEqual(readdirSync(folder), blobs());
	});
});

test("a worker from the snapshot checks types, completes, imports and interrupts as any other", async () => {
	await withKernel({}, async (kernel) => {
		assert.equal(await value(kernel, flags), "1");
		assert.equal(await value(kernel, "const list: number[] = [3, 1, 2]; list.sort().join()"), "'1,2,3'");
		const { reply } = await kernel.execute("const text: string = list;");
		assert.match(reply.evalue, /Type 'number\[\]' is not assignable to type 'string'/);
		assert.equal(
			await value(kernel, "import { basename } from 'node:path'; basename(process.cwd())"),
			`'${kernel.folder.split("/").at(-1)}'`,
		);
		assert.equal((await kernel.execute("console.group(); console.log('%d', 5); console.groupEnd()")).stdout, "  5\n");
		const thrown = (await kernel.execute("const one = 1;\nthrow new RangeError(String(one));")).reply;
		assert.match(thrown.traceback.join("\n"), /:2:7/, "an error has its stack");
		const { matches } = await kernel.ask("complete_request", { code: "list.leng", cursor_pos: 9 });
		assert.deepEqual(matches, ["length"]);
		const { data } = await kernel.ask("inspect_request", { code: "list.sort", cursor_pos: 7, detail_level: 0 });
		assert.match(data["text/markdown"], /Sorts an array in place/);
		// A loop in a timer is the one that ends the process where Node.js checks its async ids.
		const inTimer = "await new Promise(() => setTimeout(() => { console.log('on'); while (true); }, 1));";
		for (const code of ["console.log('on'); while (true);", inTimer]) {
			const id = kernel.send("execute_request", { code });
			await kernel.until(() => kernel.messages.some(({ parentId, type }) => parentId === id && type === "stream"));
			await kernel.ask("interrupt_request", {}, "control");
			assert.equal((await kernel.reply(id)).ename, "Interrupted", code);
		}
		assert.equal(await value(kernel, "list.length"), "3");
	});
});

test("a damaged snapshot is removed, and the kernel starts without it", async () => {
	const [name] = blobs();
	const path = join(folder, name!);
	const whole = readFileSync(path);
	for (const damaged of [whole.subarray(0, 1000), Buffer.from("no snapshot at all")]) {
		writeFileSync(path, damaged);
		await withKernel({}, async (kernel) => {
			const { reply, stderr, iopub } = await kernel.execute("1 + 1");
			assert.equal(reply.status, "ok", reply.evalue);
			assert.equal(stderr, "");
			assert.equal(iopub.find(({ type }) => type === "execute_result")!.content.data["text/plain"], "2");
		});
		assert.ok(!existsSync(path) || statSync(path).size > 1_000_000);
	}
});

test("OCTAVO_SNAPSHOT=0 neither makes nor uses one", async () => {
	const own = mkdtempSync(join(tmpdir(), "octavo-cache-"));
	try {
		await withKernel({ OCTAVO_SNAPSHOT: "0", XDG_CACHE_HOME: own }, async (kernel) => {
			assert.equal(await value(kernel, flags), "0");
			await sleep(4000);
			assert.deepEqual(readdirSync(own), []);
		});
	} finally {
		rmSync(own, { recursive: true, force: true });
	}
});

test("octavo install makes the snapshot, so that the very first kernel starts from it; again, it finds it", async () => {
	const home = mkdtempSync(join(tmpdir(), "octavo-cache-"));
	try {
		const { status, stdout } = install(home);
		assert.equal(status, 0);
		assert.match(stdout, /Installed the kernelspec.*\nPreparing .*\nPreparing .*\nPrepared in [\d.]+ s\./);
		const made = readdirSync(join(home, "octavo"));
		assert.equal(made.length, 1, String(made));
		await withKernel({ XDG_CACHE_HOME: home }, async (kernel) => {
			assert.equal(await value(kernel, flags), "1");
		});
		assert.doesNotMatch(install(home).stdout, /Preparing/);
		assert.deepEqual(readdirSync(join(home, "octavo")), made);
	} finally {
		rmSync(home, { recursive: true, force: true });
	}
});

test("octavo install succeeds where no snapshot can be made or none is wanted", () => {
	const home = mkdtempSync(join(tmpdir(), "octavo-cache-"));
	try {
		const blocked = join(home, "file");
		writeFileSync(blocked, "");
		const { status, stdout } = install(home, { XDG_CACHE_HOME: blocked });
		assert.equal(status, 0);
		assert.match(stdout, /Not prepared; kernels work all the same/);
		const unwanted = install(home, { OCTAVO_SNAPSHOT: "0" });
		assert.equal(unwanted.status, 0);
		assert.doesNotMatch(unwanted.stdout, /repar/);
		assert.ok(!existsSync(join(home, "octavo")));
	} finally {
		rmSync(home, { recursive: true, force: true });
	}
});

test("a lock is believed while its process lives, and no longer", () => {
	const home = mkdtempSync(join(tmpdir(), "octavo-cache-"));
	const files = () => readdirSync(join(home, "octavo"));
	try {
		install(home);
		const [blob] = files() as [string];
		const lock = join(home, "octavo", `${blob}.lock`);
		rmSync(join(home, "octavo", blob));
		writeFileSync(lock, `${hostname()} ${process.pid}`);
		install(home);
		assert.deepEqual(files(), [`${blob}.lock`]);

		const { pid } = spawnSync(process.execPath, ["-e", ""]);
		writeFileSync(lock, `${hostname()} ${pid}`);
		install(home);
		assert.deepEqual(files(), [blob]);
	} finally {
		rmSync(home, { recursive: true, force: true });
	}
});
