// How the server's kernels start where something comes between: a port that is taken meanwhile, a client that is quicker.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { findKernelSpec } from "../kernel/server/kernel-specs.js";
import { ManagedKernel } from "../kernel/server/managed-kernel.js";
import { makeMessage, parsePart } from "../kernel/server/raw-messages.js";
import type { RawMessage } from "../kernel/wire/client-sockets.js";
import { temporaryFolder } from "./helpers/temporary-folder.js";

/** A kernel of this process, without a server around it. */
function ownKernel(folder: string, kernelSpec = findKernelSpec("octavo")): ManagedKernel {
	const options = { kernelSpec, cwd: folder, runtimeFolder: folder, env: {}, log: () => undefined };
	return new ManagedKernel({ id: randomUUID(), ...options });
}

test("what a client sends as soon as it is told of a restart reaches the next process", async (t) => {
	const folder = await temporaryFolder(t);
	const kernel = ownKernel(folder);
	await kernel.start();
	await kernel.ready;
	try {
		const ask = makeMessage("shell", "kernel_info_request", {}, "client");
		await new Promise<void>((resolve) => {
			const deliver = ({ parts }: RawMessage) => {
				if (parsePart(parts[3]).execution_state === "restarting") kernel.send(ask);
				else if (parsePart(parts[0]).msg_type === "kernel_info_reply") resolve();
			};
			kernel.attach({ sessions: new Set(["client"]), deliver });
			const code = `process.kill(process.ppid, "SIGKILL")`;
			kernel.send(makeMessage("shell", "execute_request", { code }, "client"));
		});
	} finally {
		await kernel.shutdown();
	}
});

test("a kernel whose port another program takes before it starts has others, and one for which none is free is dead", async (t) => {
	const folder = await temporaryFolder(t);
	const main = join(import.meta.dirname, "..", "kernel", "main.js");
	for (const numTaken of [1, 99]) {
		const count = join(folder, `starts-${numTaken}`);
		const program = join(folder, "taker.mjs");
		writeFileSync(
			program,
			`import { spawnSync } from "node:child_process";
			import { appendFileSync, readFileSync } from "node:fs";
			import { createServer } from "node:net";
			const [, , count, file] = process.argv;
			appendFileSync(count, ".");
			const { shell_port } = JSON.parse(readFileSync(file, "utf8"));
			if (readFileSync(count).length <= ${numTaken})
				await new Promise((done) => createServer().listen(shell_port, "127.0.0.1", done));
			const args = [${JSON.stringify(main)}, "kernel", "--connection-file", file];
			process.exit(spawnSync(process.execPath, args, { stdio: "inherit" }).status);`,
		);
		const { spec, ...rest } = findKernelSpec("octavo");
		const argv = [process.execPath, program, count, "{connection_file}"];
		const kernel = ownKernel(folder, { ...rest, spec: { ...spec, argv } });
		await kernel.start();
		try {
			if (numTaken === 1) await kernel.ready;
			else await assert.rejects(kernel.ready, { code: "ERR_OCTAVO_KERNEL_START", message: /ERR_OCTAVO_BIND/ });
			assert.equal(kernel.model.execution_state, numTaken === 1 ? "idle" : "dead");
			assert.equal(readFileSync(count).length, numTaken === 1 ? 2 : 3);
		} finally {
			await kernel.shutdown();
		}
		const running = execFileSync("ps", ["-eo", "args"]).toString();
		assert.ok(!running.includes(`kernel-${kernel.id}.json`), "a process is still there");
	}
});
