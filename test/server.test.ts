// The embedded server without kernels: who may ask, and which files it gives and takes.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import { OctavoServer } from "../kernel/server/server.js";
import { startTestServer, type TestServer } from "./helpers/server.js";

let it: TestServer;
let outside: string;

before(async () => {
	it = await startTestServer();
	outside = mkdtempSync(join(tmpdir(), "octavo-outside-"));
	writeFileSync(join(outside, "secret.txt"), "secret");
});

after(async () => {
	await it.close();
	rmSync(outside, { recursive: true });
});

test("every address but the version needs the token", async () => {
	const host = new URL(it.server.url).host;
	for (const path of [
		"/api/status",
		"/api/kernels",
		"/api/kernelspecs",
		"/api/sessions",
		"/api/contents",
		"/nowhere",
	]) {
		for (const authorization of [
			undefined,
			"token wrong",
			`token ${it.server.token}x`,
			`token ${it.server.token.slice(1)}`,
			"token ",
		]) {
			const { status, json } = await it.raw("GET", path, { host, ...(authorization ? { authorization } : {}) });
			assert.equal(status, 403, `${path} with ${authorization}`);
			assert.equal(json.code, "ERR_OCTAVO_SERVER_TOKEN");
		}
		assert.equal((await it.raw("GET", `${path}?token=wrong`, { host })).status, 403);
	}
	assert.equal((await it.raw("GET", `/api/status?token=${it.server.token}`, { host })).status, 200);
	assert.equal((await it.raw("GET", "/api/status", { host, authorization: `Bearer ${it.server.token}` })).status, 200);
	assert.match((await it.raw("GET", "/api", { host })).json.version, /^\d+\.\d+\.\d+$/);
});

test("tokens are random and long", async () => {
	const other = await OctavoServer.start({ root: it.root });
	await other.close();
	assert.notEqual(other.token, it.server.token);
	assert.ok(it.server.token.length >= 32);
});

test("a Host that is not this machine is refused: DNS rebinding", async () => {
	const authorization = `token ${it.server.token}`;
	const { port } = new URL(it.server.url);
	for (const host of [
		"evil.example",
		`evil.example:${port}`,
		`127.0.0.1.evil.example:${port}`,
		"192.168.1.5",
		"0.0.0.0",
	]) {
		const { status, json } = await it.raw("GET", "/api/status", { host, authorization });
		assert.ok(status === 403 || status === 400, `${host}: ${status}`);
		if (status === 403) assert.equal(json.code, "ERR_OCTAVO_SERVER_SITE");
	}
	for (const host of [`localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`, "LOCALHOST"]) {
		assert.equal((await it.raw("GET", "/api/status", { host, authorization })).status, 200, host);
	}
});

test("a page of another origin is refused, also with the token", async () => {
	const host = new URL(it.server.url).host;
	const authorization = `token ${it.server.token}`;
	for (const origin of ["https://evil.example", "null", `http://localhost:1`, `http://${host}.evil.example`]) {
		assert.equal((await it.raw("GET", "/api/status", { host, authorization, origin })).status, 403, origin);
	}
	const own = await it.raw("GET", "/api/status", { host, authorization, origin: `http://${host}` });
	assert.equal(own.status, 200);
	assert.equal(own.headers["access-control-allow-origin"], undefined);
});

test("a WebSocket needs token, Host and Origin too, and an existing kernel", async () => {
	const base = it.server.url.replace("http", "ws");
	const refusal = (path: string, headers: Record<string, string> = {}) =>
		new Promise<number>((resolve, reject) => {
			const socket = new WebSocket(`${base}${path}`, { headers });
			socket.on("unexpected-response", (_request, response) => {
				resolve(response.statusCode ?? 0);
				socket.terminate();
			});
			socket.on("open", () => reject(new Error("The WebSocket was accepted")));
			socket.on("error", () => undefined);
		});
	const withToken = `api/kernels/none/channels?token=${it.server.token}`;
	assert.equal(await refusal("api/kernels/none/channels"), 403);
	assert.equal(await refusal(withToken, { origin: "https://evil.example" }), 403);
	assert.equal(await refusal(withToken, { host: "evil.example" }), 403);
	assert.equal(await refusal(withToken), 404);
});

test("addresses other than loopback need the explicit permission, and every server a token", async () => {
	const refused = (options: object, code: string) =>
		assert.rejects(OctavoServer.start({ root: it.root, ...options }), { code });
	await refused({ host: "0.0.0.0" }, "ERR_OCTAVO_SERVER_ADDRESS");
	await refused({ host: "192.168.1.5" }, "ERR_OCTAVO_SERVER_ADDRESS");
	await refused({ token: "" }, "ERR_OCTAVO_SERVER_TOKEN");
	await refused({ token: "with blank" }, "ERR_OCTAVO_SERVER_TOKEN");
	await refused({ root: join(it.root, "none") }, "ERR_OCTAVO_SERVER_ROOT");
	await refused({ port: Number(new URL(it.server.url).port) }, "ERR_OCTAVO_SERVER_PORT");
});

test("notebooks and files are written, read, listed, moved and removed", async () => {
	const notebook = { cells: [], metadata: { a: 1 }, nbformat: 4, nbformat_minor: 5 };
	const saved = await it.call("PUT", "/api/contents/n%C3%B6te.ipynb", { type: "notebook", content: notebook });
	assert.equal(saved.status, 201);
	assert.deepEqual(JSON.parse(readFileSync(join(it.root, "nöte.ipynb"), "utf8")), notebook);
	const read = await it.call("GET", "/api/contents/n%C3%B6te.ipynb");
	assert.deepEqual([read.json.type, read.json.format, read.json.content], ["notebook", "json", notebook]);
	assert.equal(
		(await it.call("PUT", "/api/contents/n%C3%B6te.ipynb", { type: "notebook", content: notebook })).status,
		200,
	);

	await it.call("PUT", "/api/contents/bytes.bin", { type: "file", format: "base64", content: "/wAB" });
	assert.deepEqual([...readFileSync(join(it.root, "bytes.bin"))], [255, 0, 1]);
	assert.deepEqual((await it.call("GET", "/api/contents/bytes.bin")).json.content, "/wAB");
	await it.call("PUT", "/api/contents/a.txt", { type: "file", format: "text", content: "größe\n" });
	assert.equal((await it.call("GET", "/api/contents/a.txt")).json.content, "größe\n");
	assert.equal((await it.call("GET", "/api/contents/a.txt?content=0")).json.content, null);

	const made = await it.call("POST", "/api/contents", { type: "notebook" });
	assert.deepEqual([made.status, made.json.path], [201, "Untitled.ipynb"]);
	assert.equal((await it.call("POST", "/api/contents", { type: "notebook" })).json.path, "Untitled1.ipynb");
	const names = (await it.call("GET", "/api/contents")).json.content.map((entry: { name: string }) => entry.name);
	assert.deepEqual(names.sort(), ["Untitled.ipynb", "Untitled1.ipynb", "a.txt", "bytes.bin", "nöte.ipynb"]);

	assert.equal((await it.call("PATCH", "/api/contents/a.txt", { path: "b.txt" })).json.name, "b.txt");
	assert.equal((await it.call("PATCH", "/api/contents/b.txt", { path: "bytes.bin" })).status, 409);
	for (const name of ["b.txt", "bytes.bin", "Untitled.ipynb", "Untitled1.ipynb", "n%C3%B6te.ipynb"]) {
		assert.equal((await it.call("DELETE", `/api/contents/${name}`)).status, 204, name);
	}
	assert.deepEqual(readdirSync(it.root), []);
});

test("a name as long as a file system takes is saved", async () => {
	const name = `${"n".repeat(250)}.txt`.slice(-255);
	const saved = await it.call("PUT", `/api/contents/${name}`, { type: "file", format: "text", content: "long" });
	assert.equal(saved.status, 201);
	assert.equal(readFileSync(join(it.root, name), "utf8"), "long");
	assert.deepEqual(readdirSync(it.root), [name]);
	await it.call("DELETE", `/api/contents/${name}`);
});

test("nothing outside the root is read or written, by dots or by links", async () => {
	symlinkSync(outside, join(it.root, "out"));
	symlinkSync(join(outside, "secret.txt"), join(it.root, "file.txt"));
	mkdirSync(join(it.root, ".hidden"));
	writeFileSync(join(it.root, ".hidden", "key"), "secret");
	const name = outside.split("/").at(-1);
	const paths = [
		`../${name}/secret.txt`,
		`%2e%2e/${name}/secret.txt`,
		`..%2f${name}%2fsecret.txt`,
		`a/..%2f..%2f${name}%2fsecret.txt`,
		`..%5c${name}%5csecret.txt`,
		"out/secret.txt",
		"file.txt",
		".hidden/key",
		"x%00.txt",
	];
	const host = new URL(it.server.url).host;
	const authorization = `token ${it.server.token}`;
	for (const path of paths) {
		const read = await it.raw("GET", `/api/contents/${path}`, { host, authorization });
		assert.ok([403, 404].includes(read.status), `${path}: ${read.status}`);
		assert.ok(!read.text.includes(`"content":"secret"`), path);
		const body = JSON.stringify({ type: "file", format: "text", content: "changed" });
		const headers = { host, authorization, "content-type": "application/json" };
		const written = await it.raw("PUT", `/api/contents/${path}`, headers, body);
		assert.ok([403, 404].includes(written.status), `${path}: ${written.status}`);
	}
	assert.equal((await it.call("PUT", "/api/contents/out/new.txt", { type: "file", content: "x" })).status, 403);
	assert.equal((await it.call("PATCH", "/api/contents/file.txt", { path: "out/file.txt" })).status, 403);
	assert.equal((await it.call("POST", "/api/contents/out", { type: "file" })).status, 403);
	assert.deepEqual(readdirSync(outside), ["secret.txt"]);
	assert.equal(readFileSync(join(outside, "secret.txt"), "utf8"), "secret");
	const listed = (await it.call("GET", "/api/contents")).json.content.map((entry: { name: string }) => entry.name);
	assert.deepEqual(listed, []);
	// A link goes by its own name; what it points to stays.
	assert.equal((await it.call("DELETE", "/api/contents/file.txt")).status, 204);
	assert.equal(readFileSync(join(outside, "secret.txt"), "utf8"), "secret");
});

test("bad requests get a clear answer with a code", async () => {
	const host = new URL(it.server.url).host;
	const headers = { host, authorization: `token ${it.server.token}`, "content-type": "application/json" };
	const expectAnswer = async (
		status: number,
		code: RegExp,
		answer: Promise<{ status: number; json: { code: string } }>,
	) => {
		const { status: got, json } = await answer;
		assert.equal(got, status);
		assert.match(json.code, code);
	};
	await expectAnswer(400, /^ERR_OCTAVO_REQUEST$/, it.raw("POST", "/api/kernels", headers, "{no json"));
	await expectAnswer(404, /^ERR_OCTAVO_KERNEL_NAME$/, it.call("POST", "/api/kernels", { name: "no-such-kernel" }));
	await expectAnswer(404, /^ERR_OCTAVO_KERNEL_ID$/, it.call("GET", "/api/kernels/none"));
	await expectAnswer(404, /^ERR_OCTAVO_KERNEL_ID$/, it.call("POST", "/api/kernels/none/interrupt"));
	await expectAnswer(404, /^ERR_OCTAVO_SESSION_ID$/, it.call("DELETE", "/api/sessions/none"));
	await expectAnswer(400, /^ERR_OCTAVO_SESSION$/, it.call("POST", "/api/sessions", {}));
	await expectAnswer(404, /^ERR_OCTAVO_CONTENTS_MISSING$/, it.call("GET", "/api/contents/none.txt"));
	await expectAnswer(404, /^ERR_OCTAVO_SERVER_ROUTE$/, it.call("GET", "/api/nothing"));
	writeFileSync(join(it.root, "bad.ipynb"), "{");
	await expectAnswer(400, /^ERR_OCTAVO_NOTEBOOK$/, it.call("GET", "/api/contents/bad.ipynb"));
});
