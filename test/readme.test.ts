// The cells that README.md shows run as they stand there, in one notebook.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { checkNotebook } from "../kernel/client/notebook.js";
import { runNotebook } from "../kernel/client/run-notebook.js";
import { startTestServer } from "./helpers/server.js";

test("the cells of README.md run", async () => {
	const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
	const sources = [...readme.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map((match) => match[1]!);
	assert.ok(sources.length >= 2);
	const cells = sources.map((source) => ({ cell_type: "code", source, metadata: {}, outputs: [] }));
	const it = await startTestServer();
	try {
		const notebook = checkNotebook({ nbformat: 4, nbformat_minor: 5, metadata: {}, cells });
		const result = await runNotebook(notebook, { server: it.server });
		assert.equal(result.failure?.traceback.join("\n"), undefined);
		for (const cell of result.notebook.cells) {
			const shown = cell.outputs?.at(-1);
			assert.ok(shown?.output_type === "execute_result" && shown.data["text/html"], cell.source);
		}
	} finally {
		await it.close();
	}
});
