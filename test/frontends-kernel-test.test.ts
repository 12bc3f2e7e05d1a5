// Jupyter's own conformance suite, jupyter_kernel_test, against the installed kernelspec.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { jupyterEnvironment, missing, programs } from "./frontends/jupyter.js";

const timeout = 400_000;
/** The Python file stays with the sources: it is not compiled. */
const suite = fileURLToPath(new URL("../../test/frontends/kernel_test.py", import.meta.url));

test("jupyter_kernel_test passes whole but for its pager", {
	skip: missing("jupyter_kernel_test", programs.python),
	timeout,
}, () => {
	const folder = mkdtempSync(join(tmpdir(), "octavo-kernel-test-"));
	try {
		const env = jupyterEnvironment(folder);
		const { status, stderr } = spawnSync(programs.python, [suite], { env, cwd: folder, encoding: "utf8", timeout });
		assert.equal(status, 0, stderr);
		const run = Number(/^Ran (\d+) tests/m.exec(stderr)?.[1]);
		assert.ok(run >= 11, stderr);
		// A kernel that shows its help in place, not in a pager, has nothing to answer there.
		assert.match(stderr, /^OK \(skipped=1\)$/m, stderr);
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
});
