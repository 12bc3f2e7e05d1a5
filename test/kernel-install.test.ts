// The command line around the kernel: where the kernelspec goes, what it says, and what a wrong start says.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { isAbsolute, join } from "node:path";
import { after, test } from "node:test";
import { jupyterDataDir } from "../kernel/kernelspec.js";
import { channelPorts } from "../kernel/wire/connection.js";
import { freePorts, KernelClient } from "./helpers/kernel-client.js";

const folder = mkdtempSync(join(tmpdir(), "octavo-install-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const main = join(import.meta.dirname, "..", "kernel", "main.js");
const octavo = (args: string[], env: NodeJS.ProcessEnv = {}) =>
	spawnSync(process.execPath, [main, ...args], { encoding: "utf8", env: { ...process.env, ...env }, timeout: 60_000 });

test("install --prefix writes a kernelspec that starts a working kernel", async () => {
	const { status, stdout } = octavo(["install", "--no-snapshot", "--prefix", folder]);
	assert.equal(status, 0);
	const home = join(folder, "share", "jupyter", "kernels", "octavo");
	assert.ok(stdout.includes(home));
	const spec = JSON.parse(readFileSync(join(home, "kernel.json"), "utf8"));
	assert.equal(spec.language, "typescript");
	assert.equal(spec.interrupt_mode, "message");
	assert.equal(spec.display_name, "Octavo (TypeScript)");
	assert.ok(isAbsolute(spec.argv[0]) && isAbsolute(spec.argv[1]));
	assert.match(readFileSync(join(home, "logo-svg.svg"), "utf8"), /^<svg/);
	const kernel = await KernelClient.start({ argv: spec.argv, folder });
	try {
		assert.equal((await kernel.execute("1")).reply.status, "ok");
	} finally {
		await kernel.stop();
	}
});

test("install --user follows Jupyter's rules for the data folder", () => {
	assert.equal(jupyterDataDir({ JUPYTER_DATA_DIR: "/data", XDG_DATA_HOME: "/xdg", HOME: "/me" }, "linux"), "/data");
	assert.equal(jupyterDataDir({ XDG_DATA_HOME: "/xdg", HOME: "/me" }, "linux"), "/xdg/jupyter");
	assert.equal(jupyterDataDir({ HOME: "/me" }, "linux"), "/me/.local/share/jupyter");
	assert.equal(jupyterDataDir({ HOME: "/me" }, "darwin"), "/me/Library/Jupyter");
	const { status } = octavo(["install", "--no-snapshot", "--user"], { JUPYTER_DATA_DIR: join(folder, "data") });
	assert.equal(status, 0);
	assert.ok(existsSync(join(folder, "data", "kernels", "octavo", "kernel.json")));
});

test("install with both --user and --prefix is refused", () => {
	const { status, stderr } = octavo(["install", "--user", "--prefix", folder]);
	assert.equal(status, 1);
	assert.match(stderr, /expected --user or --prefix/);
});

test("a port that is taken ends the command with a clear error", async () => {
	const taken = createServer();
	await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
	const { port } = taken.address() as { port: number };
	const file = join(folder, "taken.json");
	for (const name of channelPorts) {
		const free = await freePorts(channelPorts.length);
		const ports = Object.fromEntries(channelPorts.map((other, i) => [other, other === name ? port : free[i]]));
		writeFileSync(
			file,
			JSON.stringify({ transport: "tcp", ip: "127.0.0.1", key: "k", signature_scheme: "hmac-sha256", ...ports }),
		);
		const { status, stderr } = octavo(["kernel", "--connection-file", file]);
		assert.equal(status, 1, name);
		assert.match(stderr, /ERR_OCTAVO_BIND/);
	}
	taken.close();
});

test("an address that is not loopback is refused", () => {
	const file = join(folder, "remote.json");
	const ports = { shell_port: 1, control_port: 2, iopub_port: 3, stdin_port: 4, hb_port: 5 };
	writeFileSync(
		file,
		JSON.stringify({ transport: "tcp", ip: "0.0.0.0", key: "k", signature_scheme: "hmac-sha256", ...ports }),
	);
	const { status, stderr } = octavo(["kernel", "--connection-file", file]);
	assert.equal(status, 1);
	assert.match(stderr, /loopback address.*ERR_OCTAVO_CONNECTION_FILE/);
});
