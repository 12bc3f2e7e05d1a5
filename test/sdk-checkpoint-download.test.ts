// Downloads from a hub on loopback: what is fetched, that broken ones go on where they stopped, that wrong contents are
// never kept, and that nothing is asked of the network that is there.

import assert from "node:assert/strict";
import { mkdir, readdir, readFile, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { loadModel } from "../sdk/load-model.js";
import { type DownloadProgress, downloadModel } from "../sdk/model/download.js";
import { type HubBehaviour, hubCommit, startHub } from "./helpers/hub-server.js";
import { temporaryFolder } from "./helpers/temporary-folder.js";
import { type TinyOptions, tinyCheckpoint } from "./helpers/tiny-checkpoint.js";
import { trainBpe, trainingText } from "./helpers/train-bpe.js";

const bpe = trainBpe(trainingText, 300, ["<|begin|>", "<|end|>"]);

function modelFiles(options: TinyOptions = {}): Map<string, Buffer> {
	const { files } = tinyCheckpoint(options);
	const all = {
		...files,
		"tokenizer.json": bpe.json,
		"README.md": Buffer.from("# tiny"),
		"pytorch_model.bin": Buffer.alloc(9),
	};
	const bytes = (content: unknown) => (Buffer.isBuffer(content) ? content : Buffer.from(JSON.stringify(content)));
	return new Map(Object.entries(all).map(([name, content]) => [name, bytes(content)]));
}

const downloads = (requests: { path: string; range: string | undefined }[], name: string) =>
	requests.filter(({ path, range }) => path.endsWith(`/${name}`) && range !== "bytes=0-0");

test("downloads what a model is opened from, once, with progress", async (t) => {
	const files = modelFiles({ numShards: 2 });
	const hub = await startHub(t, { files, token: "hf_secret" });
	const cacheDir = await temporaryFolder(t);
	const seen: DownloadProgress[] = [];
	const options = {
		cacheDir,
		endpoint: hub.endpoint,
		token: "hf_secret",
		progress: (p: DownloadProgress) => seen.push(p),
	};
	const model = await loadModel("hf:org/tiny", options);
	assert.equal(model.name, "org/tiny");
	assert.equal(model.tokenizer?.decode(bpe.encode("the keys")), "the keys");
	const shards = [...files.keys()].filter((name) => name.endsWith(".safetensors"));
	const wanted = ["config.json", "tokenizer.json", "model.safetensors.index.json", ...shards];
	const snapshot = join(cacheDir, "models--org--tiny", "snapshots", hubCommit);
	assert.deepEqual((await readdir(snapshot)).sort(), [...wanted].sort());
	for (const name of wanted) assert.ok((await readFile(join(snapshot, name))).equals(files.get(name)!), name);
	assert.equal(await readFile(join(cacheDir, "models--org--tiny", "refs", "main"), "utf8"), hubCommit);

	const total = wanted.reduce((sum, name) => sum + files.get(name)!.length, 0);
	assert.equal(seen.at(-1)!.bytes, total);
	assert.equal(seen.at(-1)!.totalBytes, total);
	for (const name of wanted) {
		const ofFile = seen.filter(({ file }) => file === name);
		assert.equal(ofFile[0]!.fileBytes, 0);
		assert.equal(ofFile.at(-1)!.fileBytes, files.get(name)!.length);
	}
	for (const [i, { bytes }] of seen.entries()) assert.ok(i === 0 || bytes >= seen[i - 1]!.bytes, "goes up");

	hub.requests.length = 0;
	(await loadModel("hf:org/tiny", options)).close();
	assert.ok(!hub.requests.some(({ path }) => path.includes("/resolve/")), "nothing is downloaded again");
	await hub.close();
	const offline = await loadModel("hf:org/tiny", options);
	assert.equal(offline.name, "org/tiny");
	assert.ok((await downloadModel("org/tiny", { ...options, revision: hubCommit })).endsWith(hubCommit));
});

test("a broken download goes on where it stopped", async (t) => {
	const files = modelFiles();
	const weights = files.get("model.safetensors")!;
	const behaviour: HubBehaviour = { files, breakAfterBytes: 20_000, numBreaks: 3 };
	const hub = await startHub(t, behaviour);
	assert.ok(weights.length > 80_000, `${weights.length} bytes`);
	const options = { cacheDir: await temporaryFolder(t), endpoint: hub.endpoint };
	const folder = await downloadModel("org/tiny", options);
	assert.ok((await readFile(join(folder, "model.safetensors"))).equals(weights));
	const starts = downloads(hub.requests, "model.safetensors").map(({ range }) => Number(range?.slice(6, -1) ?? 0));
	// On a busy machine some of what was sent is lost with its connection; what came is never asked for again.
	assert.equal(starts.length, 4);
	assert.equal(starts[0], 0);
	for (const [i, start] of starts.entries()) {
		assert.ok(start <= (starts[i - 1] ?? 0) + 20_000 && start >= (starts[i - 1] ?? 0), starts.join());
	}
	assert.ok(starts[3]! > 0);
});

test("a download that fails for good keeps what came; the next one takes only the rest", async (t) => {
	const files = modelFiles();
	const weights = files.get("model.safetensors")!;
	const behaviour: HubBehaviour = { files };
	const hub = await startHub(t, behaviour);
	const options = { cacheDir: await temporaryFolder(t), endpoint: hub.endpoint };
	let numCalls = 0;
	const stop = new AbortController();
	behaviour.breakAfterBytes = 30_000;
	behaviour.numBreaks = 1;
	const progress = ({ file, fileBytes }: DownloadProgress) => {
		if (file === "model.safetensors" && fileBytes > 0 && numCalls++ === 0) stop.abort(new Error("enough"));
	};
	await assert.rejects(downloadModel("org/tiny", { ...options, progress, signal: stop.signal }), /enough/);
	const blobs = join(options.cacheDir, "models--org--tiny", "blobs");
	const part = (await readdir(blobs)).find((name) => name.endsWith(".incomplete"))!;
	const came = (await stat(join(blobs, part))).size;
	assert.ok(came > 0 && came < weights.length, `${came} bytes came`);
	await assert.rejects(readFile(join(options.cacheDir, "models--org--tiny", "refs", "main")), { code: "ENOENT" });

	hub.requests.length = 0;
	delete behaviour.breakAfterBytes;
	const folder = await downloadModel("org/tiny", options);
	assert.ok((await readFile(join(folder, "model.safetensors"))).equals(weights));
	assert.deepEqual(
		downloads(hub.requests, "model.safetensors").map(({ range }) => range),
		[`bytes=${came}-`],
	);
	assert.ok(!(await readdir(blobs)).some((name) => name.endsWith(".incomplete")));
});

test("two that load the same model at once share the download", async (t) => {
	const files = modelFiles();
	const hub = await startHub(t, { files, breakAfterBytes: 20_000, numBreaks: 2 });
	const options = { cacheDir: await temporaryFolder(t), endpoint: hub.endpoint };
	const folders = await Promise.all(Array.from({ length: 4 }, () => downloadModel("org/tiny", options)));
	assert.equal(new Set(folders).size, 1);
	assert.ok((await readFile(join(folders[0]!, "model.safetensors"))).equals(files.get("model.safetensors")!));
	const starts = downloads(hub.requests, "model.safetensors").map(({ range }) => Number(range?.slice(6, -1) ?? 0));
	assert.deepEqual(starts, [0, 20_000, 40_000]);
});

test("a server that breaks every connection at once is an error with the bytes that came", async (t) => {
	const hub = await startHub(t, { files: modelFiles(), breakAfterBytes: 0 });
	await assert.rejects(downloadModel("org/tiny", { cacheDir: await temporaryFolder(t), endpoint: hub.endpoint }), {
		code: "ERR_OCTAVO_DOWNLOAD",
		message: /Expected all \d+ bytes of config\.json .* received 0/,
	});
});

test("a server without ranges is asked for the whole again", async (t) => {
	const files = modelFiles();
	const hub = await startHub(t, { files, breakAfterBytes: 30_000, numBreaks: 1, ignoresRanges: true });
	const folder = await downloadModel("org/tiny", { cacheDir: await temporaryFolder(t), endpoint: hub.endpoint });
	assert.ok((await readFile(join(folder, "model.safetensors"))).equals(files.get("model.safetensors")!));
});

test("wrong contents are refused, and never kept", async (t) => {
	const cut = (contents: Buffer) => contents.subarray(0, -100);
	const flipped = (contents: Buffer) => {
		const copy = Buffer.from(contents);
		copy[copy.length >> 1]! ^= 1;
		return copy;
	};
	const longer = (contents: Buffer) => Buffer.concat([contents, Buffer.alloc(100)]);
	const cases: [string, (contents: Buffer) => Buffer, string, RegExp][] = [
		["truncated", cut, "model.safetensors", /Expected all \d+ bytes of model\.safetensors/],
		["flipped", flipped, "model.safetensors", /hash/],
		["longer", longer, "model.safetensors", /more/],
		["flipped", flipped, "tokenizer.json", /hash/],
	];
	for (const [how, change, name, message] of cases) {
		const behaviour: HubBehaviour = {
			files: modelFiles(),
			corrupt: (path, contents) => (path === name ? change(contents) : contents),
		};
		const hub = await startHub(t, behaviour);
		const options = { cacheDir: await temporaryFolder(t), endpoint: hub.endpoint };
		const what = `${how} ${name}`;
		await assert.rejects(loadModel("hf:org/tiny", options), { code: "ERR_OCTAVO_DOWNLOAD", message }, what);
		delete behaviour.corrupt;
		(await loadModel("hf:org/tiny", options)).close();
		await hub.close();
	}
});

test("the token is for the hub alone, not for where it redirects", async (t) => {
	const files = modelFiles();
	const store = await startHub(t, { files });
	const hub = await startHub(t, { files, token: "hf_secret", redirectTo: store.endpoint });
	const folder = await downloadModel("org/tiny", {
		cacheDir: await temporaryFolder(t),
		endpoint: hub.endpoint,
		token: "hf_secret",
	});
	assert.ok((await readFile(join(folder, "model.safetensors"))).equals(files.get("model.safetensors")!));
	assert.ok(store.requests.length >= 3 && hub.requests.length >= 3);
	assert.ok(store.requests.every(({ token }) => token === undefined));
});

test("a part that someone else spoilt is found by its hash", async (t) => {
	const files = modelFiles();
	const hub = await startHub(t, { files });
	const options = { cacheDir: await temporaryFolder(t), endpoint: hub.endpoint };
	const folder = await downloadModel("org/tiny", options);
	const blobs = join(options.cacheDir, "models--org--tiny", "blobs");
	const blob = (await readdir(blobs)).find((name) => name.length === 64)!;
	// A blob that was cut short is not taken for whole, either.
	await truncate(join(blobs, blob), 50);
	await writeFile(join(blobs, `${blob}.incomplete`), Buffer.alloc(40_000, 7));
	await assert.rejects(downloadModel("org/tiny", options), { code: "ERR_OCTAVO_DOWNLOAD", message: /hash/ });
	await downloadModel("org/tiny", options);
	assert.ok((await readFile(join(folder, "model.safetensors"))).equals(files.get("model.safetensors")!));
});

test("a server that sends another range than asked for is refused, and its bytes are not kept", async (t) => {
	const files = modelFiles();
	const behaviour: HubBehaviour = { files, breakAfterBytes: 1000, numBreaks: 1, shiftsRangesBy: 8 };
	const hub = await startHub(t, behaviour);
	const options = { cacheDir: await temporaryFolder(t), endpoint: hub.endpoint };
	const message = /Expected bytes from \d+ of \S+ but received bytes \d+-/;
	await assert.rejects(downloadModel("org/tiny", options), { code: "ERR_OCTAVO_DOWNLOAD", message });
	delete behaviour.shiftsRangesBy;
	const folder = await downloadModel("org/tiny", options);
	const name = "model.safetensors";
	assert.ok((await readFile(join(folder, name))).equals(files.get(name)!));
});

test("no network, no such model, no token, no weights: each says so", async (t) => {
	const cacheDir = await temporaryFolder(t);
	const behaviour: HubBehaviour = { files: modelFiles(), token: "hf_right" };
	const hub = await startHub(t, behaviour);
	const at = { cacheDir, endpoint: hub.endpoint };
	const rejects = (from: string, options: object, message: RegExp) =>
		assert.rejects(loadModel(from, options), { code: "ERR_OCTAVO_DOWNLOAD", message });
	await rejects("hf:org/tiny", at, /status 401.*token/);
	await rejects("hf:org/other", { ...at, token: "hf_right" }, /org\/other.*status 404/);
	await rejects("hf:org/tiny", { ...at, token: "hf_right", revision: "v2" }, /v2.*status 404/);
	for (const name of ["tiny", "", "a/b/c", "../tiny", "org/..", "org/ti ny"])
		await rejects(`hf:${name}`, at, /organisation\/name/);
	behaviour.files.delete("model.safetensors");
	await rejects("hf:org/tiny", { ...at, token: "hf_right" }, /Expected model\.safetensors in org\/tiny/);
	const gone = await startHub(t, behaviour);
	await gone.close();
	await rejects("hf:org/none", { ...at, endpoint: gone.endpoint }, /ECONNREFUSED.*no copy is in the cache/);
	// Some of its files have come, but not all: that is no copy.
	await rejects("hf:org/tiny", { ...at, endpoint: gone.endpoint }, /ECONNREFUSED.*no copy is in the cache/);
});

test("a hostile hub cannot write outside the cache, or make the SDK fail in another way", async (t) => {
	const listings: Record<string, (entries: Record<string, unknown>[]) => unknown> = {
		"no list": () => ({ a: 1 }),
		"no hash": (entries) => entries.map(({ oid, lfs, ...entry }) => entry),
		"a path for a hash": (entries) => entries.map((entry) => ({ ...entry, lfs: undefined, oid: "../../../evil" })),
		"a negative size": (entries) => entries.map((entry) => ({ ...entry, size: -1 })),
		"another size": (entries) => entries.map((entry) => ({ ...entry, size: 5 })),
		nothing: () => null,
	};
	for (const [name, listing] of Object.entries(listings)) {
		const hub = await startHub(t, { files: modelFiles(), listing });
		const outside = await temporaryFolder(t);
		const cacheDir = join(outside, "cache");
		await mkdir(cacheDir);
		await assert.rejects(
			downloadModel("org/tiny", { cacheDir, endpoint: hub.endpoint }),
			{ code: "ERR_OCTAVO_DOWNLOAD" },
			name,
		);
		assert.deepEqual(await readdir(outside), ["cache"], name);
		await hub.close();
	}
	const files = modelFiles();
	files.set(
		"model.safetensors.index.json",
		Buffer.from(JSON.stringify({ weight_map: { a: "../../../../evil.safetensors" } })),
	);
	const hub = await startHub(t, { files });
	const cacheDir = await temporaryFolder(t);
	await assert.rejects(downloadModel("org/tiny", { cacheDir, endpoint: hub.endpoint }), {
		code: "ERR_OCTAVO_DOWNLOAD",
		message: /weight_map/,
	});
});

test("options are checked", async () => {
	for (const options of [
		{ cachedir: "x" },
		{ endpoint: "ftp://x" },
		{ revision: "../x" },
		{ token: 3 },
		{ cacheDir: "" },
	]) {
		await assert.rejects(
			downloadModel("org/tiny", options as object),
			{ code: "ERR_OCTAVO_OPTION" },
			JSON.stringify(options),
		);
	}
	await assert.rejects(loadModel("folder", { token: "x" }), { code: "ERR_OCTAVO_OPTION", message: /no options/ });
});
