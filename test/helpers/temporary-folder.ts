// A folder that is gone after the test.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

/** Makes an empty folder and removes it, with all in it, when the test ends. */
export async function temporaryFolder(test: Pick<TestContext, "after">): Promise<string> {
	const folder = await mkdtemp(join(tmpdir(), "octavo-test-"));
	test.after(() => rm(folder, { recursive: true, force: true }));
	return folder;
}
