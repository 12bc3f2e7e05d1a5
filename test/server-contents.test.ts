// Files of the embedded server where several want the same name, where there is no room, and where requests are none.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { rename } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { moveToFree } from "../kernel/server/atomic-files.js";
import { startTestServer, type TestServer } from "./helpers/server.js";

let it: TestServer;

before(async () => {
	it = await startTestServer();
});

after(() => it.close());

afterEach(() => {
	for (const name of readdirSync(it.root)) rmSync(join(it.root, name), { recursive: true });
});

const text = (name: string) => readFileSync(join(it.root, name), "utf8");
const numbers = Array.from({ length: 20 }, (_, index) => index);

test("things made at the same time get a name each", async () => {
	for (const type of ["notebook", "file", "directory"]) {
		const made = await Promise.all(numbers.map(() => it.call("POST", "/api/contents", { type })));
		assert.deepEqual(
			made.map(({ status }) => status),
			numbers.map(() => 201),
		);
		assert.equal(new Set(made.map(({ json }) => json.path)).size, numbers.length, type);
	}
	assert.equal(readdirSync(it.root).length, 3 * numbers.length);
});

test("of files and of folders that are moved to one name at the same time one gets it, and none is lost", async () => {
	for (const number of numbers) {
		writeFileSync(join(it.root, `file-${number}`), String(number));
		mkdirSync(join(it.root, `folder-${number}`));
		writeFileSync(join(it.root, `folder-${number}`, "own"), String(number));
	}
	for (const kind of ["file", "folder"]) {
		const moved = await Promise.all(
			numbers.map((number) => it.call("PATCH", `/api/contents/${kind}-${number}`, { path: `${kind}-target` })),
		);
		const winners = numbers.filter((number) => moved[number]!.status === 200);
		assert.equal(winners.length, 1, JSON.stringify(moved.map(({ status }) => status)));
		const refused = moved.filter(({ status }) => status !== 200);
		assert.ok(refused.every(({ status, json }) => status === 409 && json.code === "ERR_OCTAVO_CONTENTS_TYPE"));
		const own = kind === "file" ? "" : "/own";
		assert.equal(text(`${kind}-target${own}`), String(winners[0]));
		for (const number of numbers) {
			if (number !== winners[0]) assert.equal(text(`${kind}-${number}${own}`), String(number));
		}
	}
	assert.equal(readdirSync(it.root).length, 2 * numbers.length);
});

test("a file that is moved to two names at the same time has one of them", async () => {
	for (const number of numbers) {
		writeFileSync(join(it.root, "from"), String(number));
		const moved = await Promise.all(["a", "b", "c"].map((path) => it.call("PATCH", "/api/contents/from", { path })));
		const [won, ...others] = moved.toSorted((a, b) => a.status - b.status);
		assert.equal(won!.status, 200);
		assert.ok(others.every(({ status, json }) => status === 404 && json.code === "ERR_OCTAVO_CONTENTS_MISSING"));
		assert.deepEqual(readdirSync(it.root), [won!.json.path]);
		assert.equal(text(won!.json.path), String(number));
		rmSync(join(it.root, won!.json.path));
	}
});

test("what an editor saves while it is moved is in one of both places, and whole", async () => {
	const [from, to] = [join(it.root, "from"), join(it.root, "to")];
	for (let round = 0; round < 100; round++) {
		writeFileSync(from, "old");
		const versions = numbers.slice(0, 8).map((number) => `${round} ${number}`);
		for (const version of versions) writeFileSync(join(it.root, version), version);
		const saving = (async () => {
			for (const version of versions) await rename(join(it.root, version), from);
		})();
		await Promise.all([moveToFree(from, to), saving]);
		const names = readdirSync(it.root);
		assert.ok(names.every((name) => ["from", "to"].includes(name)));
		// The last one may have gone along; the move takes none away.
		assert.ok(names.some((name) => text(name) === versions.at(-1)));
		for (const name of names) rmSync(join(it.root, name));
	}
});

test("a link is moved as itself, and nothing goes into a folder of its own", async () => {
	writeFileSync(join(it.root, "a.txt"), "a");
	symlinkSync("a.txt", join(it.root, "link"));
	assert.equal((await it.call("PATCH", "/api/contents/link", { path: "moved" })).status, 200);
	assert.deepEqual(readdirSync(it.root), ["a.txt", "moved"]);
	mkdirSync(join(it.root, "folder"));
	const into = await it.call("PATCH", "/api/contents/folder", { path: "folder/inside" });
	assert.deepEqual([into.status, into.json.code], [400, "ERR_OCTAVO_CONTENTS_SYSTEM"]);
	assert.deepEqual(readdirSync(join(it.root, "folder")), []);
	assert.equal((await it.call("PATCH", "/api/contents/", { path: "x" })).status, 400);
});

test("a file is copied beside others under a name that says so", async () => {
	mkdirSync(join(it.root, "folder"));
	writeFileSync(join(it.root, "a.tar.gz"), Buffer.from([1, 2, 255]));
	const copied = async () => (await it.call("POST", "/api/contents/folder", { copy_from: "a.tar.gz" })).json.path;
	assert.deepEqual([await copied(), await copied()], ["folder/a.tar-Copy1.gz", "folder/a.tar-Copy2.gz"]);
	assert.deepEqual([...readFileSync(join(it.root, "folder", "a.tar-Copy2.gz"))], [1, 2, 255]);
	for (const [copy_from, status] of [
		["none", 404],
		["folder", 400],
		["../x", 403],
		[5, 400],
	] as const) {
		assert.equal((await it.call("POST", "/api/contents", { copy_from })).status, status, String(copy_from));
	}
	assert.deepEqual(readdirSync(it.root), ["a.tar.gz", "folder"]);
});

test("what cannot be written as it is meant is refused, and what was there stays", async () => {
	const body = { type: "notebook", content: { cells: [] } };
	assert.equal((await it.call("PUT", "/api/contents/n.ipynb", body)).status, 201);
	const kept = text("n.ipynb");
	for (const bad of [
		{ type: "notebook", content: [] },
		{ type: "notebook", content: null },
		{ type: "file", format: "base64", content: "AA!AA" },
		{ type: "file", format: "base64", content: "AA=A" },
		{ type: "file", format: "utf-16", content: "a" },
		{ type: "page", content: "a" },
		{ type: 5, content: "a" },
	]) {
		const { status, json } = await it.call("PUT", "/api/contents/n.ipynb", bad);
		assert.equal(status, 400, JSON.stringify(bad));
		assert.match(json.code, /^ERR_OCTAVO_(NOTEBOOK|CONTENTS_TYPE)$/);
	}
	assert.equal(text("n.ipynb"), kept);
	await it.call("PUT", "/api/contents/b", { type: "file", format: "base64", content: "_-8\nA" });
	assert.deepEqual([...readFileSync(join(it.root, "b"))], [0xff, 0xef, 0x00]);
});

test("on a full or a read-only disk the old notebook stays whole, and the answer says why", async (context) => {
	const folder = join(it.root, "disk");
	mkdirSync(folder);
	try {
		execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], { stdio: "ignore" });
	} catch {
		rmSync(folder, { recursive: true });
		context.skip("no right to mount a small disk here");
		return;
	}
	try {
		const notebook = (length: number) => ({ type: "notebook", content: { cells: ["x".repeat(length)] } });
		assert.equal((await it.call("PUT", "/api/contents/disk/n.ipynb", notebook(600_000))).status, 201);
		const kept = text("disk/n.ipynb");
		const full = await it.call("PUT", "/api/contents/disk/n.ipynb", notebook(700_000));
		assert.deepEqual([full.status, full.json.code, full.json.reason], [507, "ERR_OCTAVO_CONTENTS_SYSTEM", "ENOSPC"]);
		assert.ok(!full.text.includes(it.root));
		assert.equal((await it.call("PATCH", "/api/contents/disk/n.ipynb", { path: "n.ipynb" })).json.reason, "EXDEV");
		execFileSync("mount", ["-o", "remount,ro", folder]);
		const fixed = await it.call("PUT", "/api/contents/disk/n.ipynb", notebook(5));
		assert.deepEqual([fixed.status, fixed.json.reason], [403, "EROFS"]);
		for (const [method, body] of [
			["POST", {}],
			["DELETE", undefined],
			["PATCH", { path: "disk/m" }],
		] as const) {
			const path = method === "POST" ? "/api/contents/disk" : "/api/contents/disk/n.ipynb";
			assert.equal((await it.call(method, path, body)).status, 403, method);
		}
		assert.deepEqual(readdirSync(folder), ["n.ipynb"]);
		assert.equal(text("disk/n.ipynb"), kept);
	} finally {
		execFileSync("umount", [folder]);
	}
	assert.deepEqual(readdirSync(it.root), ["disk"]);
});

/** Sends bytes on a connection of their own, and gives all that comes until its end. */
function sent(bytes: string, half = false): Promise<string> {
	return new Promise((resolve, reject) => {
		let answer = "";
		const socket = connect(Number(new URL(it.server.url).port), "127.0.0.1", () => {
			socket.write(bytes);
			if (half) socket.end();
		});
		socket.setEncoding("utf8").on("data", (some) => {
			answer += some;
		});
		socket.on("error", reject).on("close", () => resolve(answer));
	});
}

test("what is no request is answered with a code, whatever is wrong with it", async () => {
	const headers = `Host: ${new URL(it.server.url).host}\r\nAuthorization: token ${it.server.token}\r\n`;
	const put = `PUT /api/contents/x HTTP/1.1\r\n${headers}Content-Type: application/json\r\n`;
	const cases: [name: string, status: number, bytes: string, half?: boolean][] = [
		["no HTTP", 400, "GARBAGE\r\n\r\n"],
		["an address that is none", 400, `GET /api/contents/% HTTP/1.1\r\n${headers}Connection: close\r\n\r\n`],
		["too long a header", 431, `GET /api HTTP/1.1\r\n${headers}X: ${"y".repeat(100_000)}\r\n\r\n`],
		["a length that is none", 400, `${put}Content-Length: abc\r\n\r\n{}`],
		["two lengths", 400, `${put}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
		["too long a body", 413, `${put}Content-Length: 999999999999\r\n\r\n{`],
		["half a body", 400, `${put}Content-Length: 100\r\n\r\n{"type":"file"`, true],
	];
	for (const [name, status, bytes, half] of cases) {
		const answer = await sent(bytes, half);
		const [head = "", body = ""] = answer.split("\r\n\r\n");
		assert.equal(head.split(" ")[1], String(status), `${name}: ${answer}`);
		assert.equal(JSON.parse(body).code, "ERR_OCTAVO_REQUEST", name);
	}
	assert.match(await sent(`GET /api HTTP/1.1\r\n${headers}\r\n`, true), /^HTTP\/1\.1 200 /);
	assert.deepEqual(readdirSync(it.root), []);
});
