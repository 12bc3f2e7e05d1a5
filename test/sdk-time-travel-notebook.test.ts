// The time-travel notebook runs headless and in time; its cells throw where a replay or a block is not what it was.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { temporaryFolder } from "./helpers/temporary-folder.js";

const root = fileURLToPath(new URL("../../", import.meta.url));

test("notebooks/time-travel.ipynb runs within two minutes", async (t) => {
	const output = join(await temporaryFolder(t), "time-travel.ipynb");
	const notebook = join(root, "notebooks", "time-travel.ipynb");
	const main = join(root, "dist", "kernel", "main.js");
	await promisify(execFile)(process.execPath, [main, "run", notebook, "--output", output], { timeout: 120_000 });
	const text = await readFile(output, "utf8");
	assert.match(text, /same tokens: true, same bits: true/);
	assert.match(text, /free blocks of layer 3: \d+, parked 0/);
});
